//! The cost of requests about a key with many versions, and about many keys: with few and with many of them.
//!
//! `make bench-versions` compares 10,000 with 1,000,000; `make bench-versions MANY=100000` with another number. Both metanodes run in
//! this process, and the rounds take turns, so that what else the machine does hits both.

#![expect(clippy::print_stdout, reason = "a benchmark tells what it measured")]

mod stage;

use std::time::Duration;

use self::stage::{Shape, Stage, Task};

/// The smaller number of versions.
const FEW: u32 = 10_000;

/// The larger number, unless another one is asked for.
const MANY: u32 = 1_000_000;

/// Pairs of rounds of each task.
const ROUNDS: usize = 9;

#[tokio::main]
async fn main() {
    // cargo passes `--bench`.
    let many = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(MANY);
    println!("{:<58} {:>10} {:>10} {:>7}", "", FEW, many, "ratio");
    for shape in Shape::ALL {
        let (few, large) = (Stage::new(shape, FEW).await, Stage::new(shape, many).await);
        for task in Task::ALL {
            let name = format!("{}: {}", shape.name(), task.name());
            compare(&name, task, &few, &large).await;
        }
        few.end().await;
        large.end().await;
    }
}

/// Measures a task on both stages in turns, and prints the medians.
async fn compare(name: &str, task: Task, few: &Stage, many: &Stage) {
    // The first round fills caches.
    few.round(task).await;
    many.round(task).await;
    let (mut of_few, mut of_many, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (one, other) = (few.round(task).await, many.round(task).await);
        ratios.push(other.as_secs_f64() / one.as_secs_f64());
        of_few.push(one);
        of_many.push(other);
    }
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ROUNDS / 2];
    println!("{name:<58} {:>10} {:>10} {ratio:>7.2}", micros(of_few), micros(of_many));
}

/// The median, for people.
fn micros(mut durations: Vec<Duration>) -> String {
    durations.sort_unstable();
    format!("{:.0} µs", durations[durations.len() / 2].as_secs_f64() * 1e6)
}
