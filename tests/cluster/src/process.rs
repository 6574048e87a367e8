//! A part that runs as a separate process.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use cairn_client_tests::binary;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A running `cairn` process; killed when dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    /// The base URL of the part.
    pub(crate) address: String,
}

impl Process {
    /// Starts `cairn <arguments>` and waits for the line that says that it is ready.
    pub(crate) async fn start(
        arguments: &[String],
        environment: &HashMap<String, String>,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let output = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let binary = binary()?;
        let mut child = Command::new(&binary)
            .args(arguments)
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        while let Some(line) = lines.next_line().await? {
            if let Some(address) =
                line.split_whitespace().find(|word| line.contains(" ready on ") && word.starts_with("http"))
            {
                let address = address.to_owned();
                // The task reads the rest, so that the process never writes into a closed pipe.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Ok(Self { child, log: log.to_owned(), address });
            }
        }
        let status = child.wait().await?;
        bail!("cairn {arguments:?} ended with {status}:\n{}", std::fs::read_to_string(log)?);
    }

    /// Sends SIGKILL and waits until the process is gone.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Sends a signal by its name, such as `STOP`.
    pub(crate) async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let id = self.child.id().context("the process is gone")?.to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().await?;
        anyhow::ensure!(status.success(), "kill -s {name} {id} failed");
        Ok(())
    }

    /// The peak resident memory in bytes: `VmHWM` of proc_pid_status(5).
    pub(crate) fn memory_peak(&self) -> anyhow::Result<u64> {
        let id = self.child.id().context("the process is gone")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no VmHWM")?;
        Ok(kib.parse::<u64>()? * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        if !std::thread::panicking() {
            assert!(!log.contains("panicked at"), "a part panicked:\n{log}");
        }
    }
}
