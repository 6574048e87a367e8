//! Starts the real `cairn` binary for the tests beside this file, and stops it again.
//!
//! The binary is the one named by `CAIRN_BIN`, or else the one that lies in the same target
//! directory as the running test.

pub mod plain_http;

use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context, bail};
use tempfile::TempDir;

/// The access key that every test server is started with.
pub const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
/// The secret key that every test server is started with.
pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// The region of every test server.
pub const REGION: &str = "us-east-1";
/// A bucket that exists, empty, when the server is ready.
pub const BUCKET: &str = "rust-clients";

/// A running `cairn server` with a data directory of its own; dropped, it is killed and its data removed.
pub struct Server {
    endpoint: String,
    process: Child,
    // Held so that the server never writes into a closed pipe.
    _stdout: BufReader<ChildStdout>,
    data: TempDir,
}

impl Server {
    /// Starts a server on a free port of 127.0.0.1 and waits until it says that it is ready.
    ///
    /// # Errors
    /// Fails when the binary is missing, or exits before it is ready; the error carries its log.
    pub fn start() -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let log = std::fs::File::create(data.path().join("cairn.log"))?;
        let binary = binary()?;
        let mut process = Command::new(&binary)
            .args(["server", "--listen", "127.0.0.1:0", "--datanodes", "1"])
            .arg("--data-dir")
            .arg(data.path().join("data"))
            .env("CAIRN_ROOT_ACCESS_KEY", ACCESS_KEY)
            .env("CAIRN_ROOT_SECRET_KEY", SECRET_KEY)
            .env("CAIRN_REGION", REGION)
            .env("CAIRN_DEFAULT_BUCKET", BUCKET)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let stdout = process.stdout.take().context("the server has no stdout")?;
        let mut server = Self { endpoint: String::new(), process, _stdout: BufReader::new(stdout), data };
        server.endpoint = server.wait_until_ready()?;
        Ok(server)
    }

    /// The S3 endpoint, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Reads the server's lines up to the one that says it is ready and names its address.
    fn wait_until_ready(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        while self._stdout.read_line(&mut line)? > 0 {
            if line.contains("ready on http://")
                && let Some(endpoint) = line.split_whitespace().find(|w| w.starts_with("http://"))
            {
                return Ok(endpoint.trim_end_matches('/').to_owned());
            }
            line.clear();
        }
        bail!("cairn ended before it was ready:\n{}", self.log());
    }

    /// Everything the server has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        let mut log = String::new();
        if let Ok(mut file) = std::fs::File::open(self.data.path().join("cairn.log")) {
            // A log that cannot be read is shown as far as it could be.
            let _ = file.read_to_string(&mut log);
        }
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may already be gone; there is nothing more to stop then.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let log = self.log();
        if !std::thread::panicking() {
            assert!(!log.contains("panicked at"), "the server panicked:\n{log}");
        }
    }
}

/// The binary under test: `CAIRN_BIN`, or the one in the target directory of this test.
///
/// # Errors
/// When there is none.
pub fn binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("CAIRN_BIN") {
        return Ok(path.into());
    }
    // Tests run from `target/<profile>/deps/`, examples from `…/examples/`; the binary lies one level up.
    let test = std::env::current_exe()?;
    let beside =
        test.ancestors().nth(2).map(|directory| directory.join("cairn")).filter(|path| path.exists());
    beside.context("no cairn binary: build it (`cargo build`), or set CAIRN_BIN to its path")
}
