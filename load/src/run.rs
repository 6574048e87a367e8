//! A run: it makes the buckets, writes what the workload needs, measures the servers in turns, and deletes what it wrote.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cairn_protocol::env::Env;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, Target};
use crate::contents::Contents;
use crate::failure::Failure;
use crate::objects::Objects;
use crate::plan::Plan;
use crate::samples::Samples;
use crate::server;
use crate::status::{Phase, Status};
use crate::worker::Worker;
use crate::workload::Operation;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A server does not do what the run needs before it can measure.
    #[error("{target}: cannot {what}: {failure}")]
    Server {
        /// The server's name.
        target: String,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        failure: Failure,
    },
    /// The process to measure is not there.
    #[error("{target}: {what}")]
    Process {
        /// The server's name.
        target: String,
        /// What is wrong.
        what: String,
    },
    /// The run was stopped before anything was measured.
    #[error("stopped before anything was measured")]
    Stopped,
}

/// What a server's processes used in a round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerUse {
    pub(crate) cpu: Duration,
    /// The most memory at any time, in bytes.
    pub(crate) memory: u64,
}

/// A round on one server.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) samples: Samples,
    pub(crate) server: Option<ServerUse>,
}

/// What was measured of one server.
#[derive(Debug)]
pub(crate) struct MeasuredTarget {
    pub(crate) target: Target,
    pub(crate) rounds: Vec<Round>,
    /// Why not all was deleted that the run wrote.
    pub(crate) left: Option<String>,
}

/// What a run measured.
#[derive(Debug)]
pub struct Measured {
    pub(crate) targets: Vec<MeasuredTarget>,
    /// Whether it was stopped before its end.
    pub(crate) was_stopped: bool,
}

/// Attempts to write each object that the workload needs.
const ATTEMPTS: u32 = 5;

/// Pause between them.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// How often the memory of servers is looked at.
const MEMORY_INTERVAL: Duration = Duration::from_millis(200);

/// Runs a plan. `stop` ends it early: what was measured until then is returned, and what was written is deleted all the same.
///
/// # Errors
/// When a server cannot be measured.
pub async fn run(
    plan: Plan,
    tls: rustls::ClientConfig,
    env: Env,
    status: Arc<Status>,
    stop: CancellationToken,
) -> Result<Measured, RunError> {
    let plan = Arc::new(plan);
    let contents = Contents::new(plan.seed);
    let mut stages = Vec::new();
    for target in &plan.targets {
        let (tls, contents) = (tls.clone(), contents.clone());
        let client = Client::new(target.clone(), tls, env.clone(), contents, plan.sign_bodies);
        let stage = Stage {
            objects: Arc::new(Objects::new(format!("cairn-bench/{}/", env.uuid_v4()), plan.keys)),
            client: Arc::new(client),
            is_set_up: false,
            made_bucket: false,
            seeds: Arc::new(AtomicU64::new(plan.seed)),
            plan: plan.clone(),
            env: env.clone(),
            status: status.clone(),
            stop: stop.clone(),
        };
        stages.push((stage, Vec::new()));
    }
    let outcome = measure(&plan, &mut stages, &stop).await;
    let mut targets = Vec::new();
    for (stage, rounds) in stages {
        let cleans = stage.is_set_up && !plan.keep;
        let left = if cleans { stage.clean_up().await.err() } else { None };
        let left = left.map(|failure| failure.to_string());
        targets.push(MeasuredTarget { target: stage.client.target().clone(), rounds, left });
    }
    outcome?;
    if targets.iter().any(|measured| measured.rounds.is_empty()) {
        return Err(RunError::Stopped);
    }
    Ok(Measured { targets, was_stopped: stop.is_cancelled() })
}

async fn measure(
    plan: &Plan,
    stages: &mut [(Stage, Vec<Round>)],
    stop: &CancellationToken,
) -> Result<(), RunError> {
    for (stage, _) in stages.iter_mut() {
        stage.set_up().await?;
    }
    let count = stages.len();
    for round in 1..=plan.rounds.max(1) {
        for turn in 0..count {
            // Another one is first in each round.
            let (stage, rounds) = &mut stages[(turn + round as usize - 1) % count];
            stage.prepare().await?;
            if round == 1 && !plan.workload.only_deletes() {
                stage.warm_up().await;
            }
            if stop.is_cancelled() {
                return Ok(());
            }
            rounds.push(stage.round(round).await?);
        }
    }
    Ok(())
}

/// One server in a run.
struct Stage {
    client: Arc<Client>,
    objects: Arc<Objects>,
    /// Whether there may be something to delete.
    is_set_up: bool,
    /// Whether the bucket is the run's own.
    made_bucket: bool,
    seeds: Arc<AtomicU64>,
    plan: Arc<Plan>,
    env: Env,
    status: Arc<Status>,
    stop: CancellationToken,
}

impl Stage {
    fn name(&self) -> String {
        self.client.target().name.clone()
    }

    fn cannot(&self, what: &'static str) -> impl FnOnce(Failure) -> RunError {
        let target = self.name();
        move |failure| RunError::Server { target, what, failure }
    }

    fn worker(&self) -> Worker {
        Worker {
            client: self.client.clone(),
            objects: self.objects.clone(),
            plan: self.plan.clone(),
            env: self.env.clone(),
            status: self.status.clone(),
            rng: StdRng::seed_from_u64(self.seeds.fetch_add(1, Ordering::Relaxed)),
        }
    }

    async fn set_up(&mut self) -> Result<(), RunError> {
        let pids = &self.client.target().pids;
        let looked = server::cpu(pids);
        looked.map_err(|what| RunError::Process { target: self.name(), what })?;
        self.made_bucket = self.client.create_bucket().await.map_err(self.cannot("make the bucket"))?;
        self.is_set_up = true;
        if self.plan.keys.is_some() {
            self.client.enable_versioning().await.map_err(self.cannot("enable versioning"))?;
        }
        Ok(())
    }

    /// Writes objects until there are as many as the workload needs.
    async fn prepare(&self) -> Result<(), RunError> {
        if !self.plan.workload.needs_objects() {
            return Ok(());
        }
        let missing = self.plan.objects.saturating_sub(self.objects.len() as u64);
        self.status.enter(Phase::Preparing { target: self.name(), objects: missing });
        let left = Arc::new(AtomicU64::new(missing));
        let mut writers = JoinSet::new();
        for _ in 0..self.plan.concurrency {
            let (worker, left, stop) = (self.worker(), left.clone(), self.stop.clone());
            writers.spawn(write_many(worker, left, stop));
        }
        let mut outcome = Ok(());
        while let Some(ended) = writers.join_next().await {
            let ended = ended.unwrap_or_else(|error| Err(Failure::Transport(error.to_string())));
            outcome = outcome.and(ended);
        }
        outcome.map_err(self.cannot("write the objects that the workload needs"))
    }

    async fn warm_up(&self) {
        self.status.enter(Phase::WarmUp { target: self.name() });
        self.phase(self.plan.warm_up).await;
    }

    /// Lets all clients work for a time.
    async fn phase(&self, lasts: Duration) -> Samples {
        let began = self.env.monotonic();
        let mut workers = JoinSet::new();
        for _ in 0..self.plan.concurrency {
            workers.spawn(self.worker().work(began, began + lasts, self.stop.clone()));
        }
        let mut samples = Samples::default();
        while let Some(ended) = workers.join_next().await {
            match ended {
                Ok(own) => samples.merge(own),
                Err(error) => samples.damage.push(format!("a client broke: {error}")),
            }
        }
        samples
    }

    async fn round(&self, round: u32) -> Result<Round, RunError> {
        let rounds = self.plan.rounds.max(1);
        let (target, lasts) = (self.name(), self.plan.duration / rounds);
        let began = self.env.monotonic();
        self.status.enter(Phase::Measuring { target, round, rounds, began, lasts });
        let pids = &self.client.target().pids;
        let gone = |what| RunError::Process { target: self.name(), what };
        let before = server::cpu(pids).map_err(gone)?;
        let mut peak = server::memory(pids).map_err(gone)?;
        let samples = {
            let mut work = std::pin::pin!(self.phase(lasts));
            loop {
                tokio::select! {
                    samples = &mut work => break samples,
                    () = self.env.sleep(MEMORY_INTERVAL) => {
                        peak = peak.max(server::memory(pids).map_err(gone)?);
                    }
                }
            }
        };
        let cpu = server::cpu(pids).map_err(gone)?.saturating_sub(before);
        let server = (!pids.is_empty()).then_some(ServerUse { cpu, memory: peak });
        Ok(Round { samples, server })
    }

    /// Deletes all that was written, and the bucket if it is the run's own.
    async fn clean_up(&self) -> Result<(), Failure> {
        self.status.enter(Phase::CleaningUp { target: self.name() });
        let prefix = self.objects.prefix();
        if self.plan.workload.has(Operation::Multipart) {
            while let uploads = self.client.list_uploads(prefix).await?
                && !uploads.is_empty()
            {
                for (key, upload) in uploads {
                    self.client.abort_upload(&key, &upload).await?;
                }
            }
        }
        loop {
            let found: Vec<_> = if self.plan.keys.is_some() {
                let versions = self.client.list_versions(prefix, "").await?;
                versions.into_iter().map(|(key, version)| (key, Some(version))).collect()
            } else {
                self.client.list(prefix, "").await?.into_iter().map(|key| (key, None)).collect()
            };
            if found.is_empty() {
                break;
            }
            self.client.delete(&found).await?;
            self.status.success(0);
        }
        if self.made_bucket {
            self.client.delete_bucket().await?;
        }
        Ok(())
    }
}

/// Writes objects while some are left to write.
async fn write_many(
    mut worker: Worker,
    left: Arc<AtomicU64>,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let takes = |left: u64| left.checked_sub(1);
    while !stop.is_cancelled() && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, takes).is_ok() {
        let mut attempt = 1;
        while let Err(failure) = worker.write_one().await {
            if attempt == ATTEMPTS || stop.is_cancelled() {
                return Err(failure);
            }
            attempt += 1;
            worker.env.sleep(RETRY_PAUSE).await;
        }
        worker.status.success(0);
    }
    Ok(())
}
