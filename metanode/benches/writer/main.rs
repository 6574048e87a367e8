//! The effect of other work on a client that writes: the latency of a PUT's metadata (blocks allocated, object
//! committed, on stable storage), alone and beside each kind of other work.
//!
//! `make bench-writer` runs all of it, `make bench-writer ONLY=reports` the kinds of work with that in their names.
//! PUTs come at a fixed rate, and each is measured from the time at which it was due, so that a stall counts for every
//! PUT that it delays.

#![expect(clippy::print_stdout, reason = "a benchmark tells what it measured")]

mod neighbours;
mod stage;

use std::time::Duration;

use cairn_metanode::block_manager::BlockManagerConfig;

use self::neighbours::Neighbour;
use self::stage::{Latencies, Stage};

/// The duration of each measurement.
const SPAN: Duration = Duration::from_secs(8);

/// How many times longer than alone the latency that 99 % of PUTs stay within may be.
const TARGET: f64 = 3.0;

#[tokio::main]
async fn main() {
    // cargo passes `--bench`.
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    println!("{:<58} {:>9} {:>9} {:>9} {:>7}", "", "median", "99 %", "longest", "ratio");
    for neighbour in neighbours::all() {
        if only.as_ref().is_none_or(|only| neighbour.name.contains(only.as_str())) {
            measure(neighbour).await;
        }
    }
}

async fn measure(neighbour: Neighbour) {
    let stage = Stage::new((neighbour.config)(BlockManagerConfig::default())).await;
    let ready = (neighbour.prepare)(stage.clone()).await;
    let alone = stage.put_for(SPAN).await;
    let busy = tokio::spawn(ready);
    let beside = stage.put_for(SPAN).await;
    busy.abort();
    assert!(busy.await.err().is_none_or(|ended| ended.is_cancelled()), "the neighbour failed");
    tell("alone", &alone, None);
    tell(neighbour.name, &beside, Some(beside.late().as_secs_f64() / alone.late().as_secs_f64()));
    stage.end().await;
}

fn tell(name: &str, latencies: &Latencies, ratio: Option<f64>) {
    let ms = |latency: Duration| format!("{:.1} ms", latency.as_secs_f64() * 1e3);
    let ratio = ratio.map_or_else(String::new, |ratio| {
        format!("{ratio:.1} ×{}", if ratio > TARGET { " (more than wanted)" } else { "" })
    });
    let (median, late, longest) = (latencies.median(), latencies.late(), latencies.longest());
    println!("{name:<58} {:>9} {:>9} {:>9} {ratio:>7}", ms(median), ms(late), ms(longest));
}
