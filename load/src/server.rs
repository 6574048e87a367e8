//! CPU time and memory of a server on this machine (proc(5)).

use std::time::Duration;

/// CPU time that processes have used.
///
/// # Errors
/// The process that is not there, in words.
pub(crate) fn cpu(pids: &[u32]) -> Result<Duration, String> {
    pids.iter().map(|pid| cpu_of(*pid).ok_or_else(|| gone(*pid))).sum()
}

/// Resident memory of processes together, in bytes.
///
/// # Errors
/// The process that is not there, in words.
pub(crate) fn memory(pids: &[u32]) -> Result<u64, String> {
    pids.iter().map(|pid| memory_of(*pid).ok_or_else(|| gone(*pid))).sum()
}

fn gone(pid: u32) -> String {
    format!("there is no process {pid} on this machine")
}

/// The threads' times in `stat` have a resolution of 10 ms, and include those of threads that have ended.
fn cpu_of(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks = parse_stat(&stat)?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

/// The fields `utime` and `stime`, in ticks. The name of the program before them may contain anything.
fn parse_stat(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // The third field of all comes first after the name; these are the 14th and the 15th.
    let [user, system] = [11, 12].map(|at| fields.get(at)?.parse::<u64>().ok());
    Some(user? + system?)
}

fn memory_of(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_may_contain_spaces_and_parentheses() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 1 1 1 1";
        assert_eq!(parse_stat(stat), Some(200));
        assert_eq!(parse_stat("7 (a) S 1"), None);
    }

    #[test]
    fn this_process_has_used_memory_and_another_one_is_not_there() {
        let own = std::process::id();
        assert!(memory(&[own]).unwrap() > 1 << 20);
        assert!(cpu(&[own]).is_ok());
        assert!(cpu(&[own, u32::MAX]).unwrap_err().contains("4294967295"));
    }
}
