//! CPU time and memory of a process, as Linux counts them.

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use cairn_protocol::env::Env;

/// Prints a line.
#[expect(clippy::print_stdout, reason = "the figures are what this is for")]
pub(crate) fn say(line: impl fmt::Display) {
    println!("{line}");
}

/// A stopwatch.
pub(crate) struct Clock {
    env: Env,
    began: Duration,
}

/// Starts a stopwatch.
pub(crate) fn clock() -> Clock {
    let env = Env::system();
    let began = env.monotonic();
    Clock { env, began }
}

impl Clock {
    /// Seconds since its start.
    pub(crate) fn elapsed(&self) -> f64 {
        self.env.monotonic().saturating_sub(self.began).as_secs_f64()
    }
}

/// A process.
pub(crate) struct Process {
    id: u32,
}

/// CPU and memory that a process used.
pub(crate) struct Cost {
    /// Share of one core: 1.0 is a whole core.
    pub(crate) cpu: f64,
    /// Resident bytes.
    resident: u64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:5.1} % of a core, {:4} MiB resident", self.cpu * 100.0, self.resident >> 20)
    }
}

impl Process {
    pub(crate) fn new(id: u32) -> Self {
        Self { id }
    }

    /// The current memory; the CPU is reported as 0.
    pub(crate) fn now(&self) -> anyhow::Result<Cost> {
        Ok(Cost { cpu: 0.0, resident: self.resident()? })
    }

    /// The cost during the next `span`.
    pub(crate) async fn over(&self, span: Duration) -> anyhow::Result<Cost> {
        Ok(self.during(Env::system().sleep(span)).await?.1)
    }

    /// The cost while `work` runs.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> anyhow::Result<(T, Cost)> {
        let (clock, before) = (clock(), self.cpu_seconds()?);
        let done = work.await;
        let cpu = (self.cpu_seconds()? - before) / clock.elapsed();
        Ok((done, Cost { cpu, resident: self.resident()? }))
    }

    /// `utime` and `stime` of proc_pid_stat(5).
    fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id))?;
        // The name, in parentheses, may contain blanks.
        let fields: Vec<&str> = stat.rsplit(')').next().context("no fields")?.split_whitespace().collect();
        let ticks = |index: usize| -> anyhow::Result<f64> {
            Ok(fields.get(index).context("too few fields")?.parse::<f64>()?)
        };
        Ok((ticks(11)? + ticks(12)?) / rustix::param::clock_ticks_per_second() as f64)
    }

    /// `VmRSS` of proc_pid_status(5).
    fn resident(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib = line.trim().strip_suffix(" kB").context("not in kB")?;
        Ok(kib.parse::<u64>()? * 1024)
    }
}
