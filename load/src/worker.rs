//! One client: a request after the other, each measured and verified.

use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::env::Env;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, Got};
use crate::failure::Failure;
use crate::objects::{Object, Objects};
use crate::plan::Plan;
use crate::samples::{Samples, Success};
use crate::status::Status;
use crate::workload::Operation;

/// After a failure a client waits, so that a server that refuses all does not fill the report with refusals.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);

/// Damaged answers of a client that are told in full.
const DAMAGE_MAX: usize = 5;

/// One client of one server.
pub(crate) struct Worker {
    pub(crate) client: Arc<Client>,
    pub(crate) objects: Arc<Objects>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) env: Env,
    pub(crate) status: Arc<Status>,
    pub(crate) rng: StdRng,
}

/// What a request did.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    first_byte: Option<Duration>,
    items: u64,
    bytes: u64,
}

impl From<Got> for Done {
    fn from(got: Got) -> Self {
        Self { first_byte: Some(got.first_byte), items: 1, bytes: got.bytes }
    }
}

impl Worker {
    /// Makes requests from `began` on until `until`, or until there is nothing left to do. A request that has begun is waited for.
    pub(crate) async fn work(mut self, began: Duration, until: Duration, stop: CancellationToken) -> Samples {
        let mut samples = Samples::default();
        while self.env.monotonic() < until && !stop.is_cancelled() {
            let drawn = self.plan.workload.draw(&mut self.rng);
            let Some(operation) = self.possible(drawn) else { break };
            let sent = self.env.monotonic();
            let timeout = self.plan.timeout;
            let env = self.env.clone();
            let outcome =
                env.timeout(timeout, self.perform(operation)).await.unwrap_or(Err(Failure::TimedOut));
            let ended = self.env.monotonic();
            match outcome {
                Ok(None) => {}
                Ok(Some(Done { first_byte, items, bytes })) => {
                    let (at, took) = (ended.saturating_sub(began), ended.saturating_sub(sent));
                    samples.success(operation, Success { at, took, first_byte, items, bytes });
                    self.status.success(bytes);
                }
                Err(failure) => {
                    samples.failure(operation, failure.kind());
                    if failure.is_damage() && samples.damage.len() < DAMAGE_MAX {
                        samples.damage.push(failure.to_string());
                    }
                    self.status.failure();
                    self.env.sleep(FAILURE_PAUSE).await;
                }
            }
        }
        samples
    }

    /// The operation, or another one if it has no object to be about; `None` if nothing can be done any more.
    fn possible(&self, operation: Operation) -> Option<Operation> {
        let writes = [Operation::Put, Operation::Multipart];
        if writes.contains(&operation) || self.objects.len() > 0 {
            return Some(operation);
        }
        writes.into_iter().find(|write| self.plan.workload.has(*write))
    }

    /// Makes a request. `None` if its object was deleted meanwhile.
    async fn perform(&mut self, operation: Operation) -> Result<Option<Done>, Failure> {
        match operation {
            Operation::Put => self.put().await.map(Some),
            Operation::Multipart => self.multipart().await.map(Some),
            Operation::Delete => self.delete().await,
            Operation::Get | Operation::RangeGet | Operation::GetVersion => {
                let Some(object) = self.objects.random(&mut self.rng) else { return Ok(None) };
                // An empty object has no range.
                let has_range = operation == Operation::RangeGet && object.size > 0;
                let range = has_range.then(|| self.range(object.size));
                let read = self.client.get(&object, range, operation == Operation::GetVersion).await;
                unless_gone(&object, read.map(Done::from))
            }
            Operation::Stat => {
                let Some(object) = self.objects.random(&mut self.rng) else { return Ok(None) };
                let asked = self.client.stat(&object).await;
                unless_gone(&object, asked.map(|()| Done { items: 1, ..Done::default() }))
            }
            Operation::List => {
                let Some(after) = self.objects.random(&mut self.rng) else { return Ok(None) };
                let keys = self.client.list(self.objects.prefix(), &after.key).await?;
                self.check_page(&after.key, &keys)?;
                Ok(Some(Done { items: keys.len() as u64, ..Done::default() }))
            }
            Operation::ListVersions => {
                let Some(after) = self.objects.random(&mut self.rng) else { return Ok(None) };
                let versions = self.client.list_versions(self.objects.prefix(), &after.key).await?;
                Ok(Some(Done { items: versions.len() as u64, ..Done::default() }))
            }
        }
    }

    pub(crate) async fn write_one(&mut self) -> Result<(), Failure> {
        self.put().await.map(drop)
    }

    async fn put(&mut self) -> Result<Done, Failure> {
        let size = self.plan.sizes.draw(&mut self.rng);
        let (number, key) = self.objects.name();
        let version = self.client.put(number, &key, size).await?;
        self.objects.add(Object::new(number, key, size, version));
        Ok(Done { items: 1, bytes: size, ..Done::default() })
    }

    async fn multipart(&mut self) -> Result<Done, Failure> {
        let size = self.plan.sizes.draw(&mut self.rng);
        let (number, key) = self.objects.name();
        let version = self.client.multipart(number, &key, (size, self.plan.part)).await?;
        self.objects.add(Object::new(number, key, size, version));
        Ok(Done { items: 1, bytes: size, ..Done::default() })
    }

    async fn delete(&mut self) -> Result<Option<Done>, Failure> {
        let taken = self.objects.take(&mut self.rng, self.plan.batch.max(1));
        if taken.is_empty() {
            return Ok(None);
        }
        let named: Vec<_> = taken.iter().map(|object| (object.key.clone(), object.version.clone())).collect();
        self.client.delete(&named).await?;
        Ok(Some(Done { items: taken.len() as u64, ..Done::default() }))
    }

    /// A range of an object, of the plan's length if the object is as long.
    fn range(&mut self, size: u64) -> std::ops::Range<u64> {
        let length = self.plan.range.clamp(1, size.max(1));
        let start = self.rng.random_range(0..=size.saturating_sub(length));
        start..start + length
    }

    /// A page has keys under the prefix, after the marker, in their order.
    fn check_page(&self, after: &str, keys: &[String]) -> Result<(), Failure> {
        let all = std::iter::once(after).chain(keys.iter().map(String::as_str));
        let is_right = all.is_sorted_by(|key, next| key.as_bytes() < next.as_bytes())
            && keys.iter().all(|key| key.starts_with(self.objects.prefix()));
        if is_right {
            return Ok(());
        }
        let what =
            "the page after it has keys that are not under the prefix, or not in their order".to_owned();
        Err(Failure::Wrong { key: after.to_owned(), what })
    }
}

/// An object that is being deleted may be missing.
fn unless_gone(object: &Object, outcome: Result<Done, Failure>) -> Result<Option<Done>, Failure> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(failure) if failure.is_missing() && object.is_going() => Ok(None),
        Err(failure) => Err(failure),
    }
}
