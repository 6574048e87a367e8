//! Compares the costs of a volume with 10^6 blocks in 10,000 segments with those of one with 10^4 blocks in 100 segments, in
//! the same run: `make bench-segments`. Blocks are small, so that it takes minutes and some 250 MiB in `TMPDIR`. The figures
//! are ratios: they show which costs grow with a volume, and not how fast a disk is.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cairn_datanode::volume::disk::RealDisk;
use cairn_datanode::volume::identity::{DirectoryLock, Identity};
use cairn_datanode::volume::{Volume, VolumeError, VolumeOptions};
use cairn_protocol::checksum::crc32c;
use cairn_protocol::env::Env;
use cairn_protocol::id::{BlockId, NodeId, VolumeId};
use futures_util::future::{join_all, try_join_all};
use uuid::Uuid;

/// Length of a block in bytes; with header and table it takes 192.
const BLOCK: usize = 100;
const PER_SEGMENT: u32 = 100;
const RECORD: u32 = 192;
/// Blocks that are written concurrently while a volume is filled.
const AT_ONCE: u32 = 1000;
/// Clients of each volume, and how long they put and get.
const CLIENTS: u32 = 8;
const CLIENTS_FOR: Duration = Duration::from_secs(10);
/// Repetitions of an operation of some microseconds, for a median.
const ROUNDS: u32 = 101;
/// Segments that are compacted for a median.
const COMPACTIONS: u32 = 21;
/// Replicas in a page of a block report.
const REPORT_PAGE: usize = 5001;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A measured operation, and its time.
type Row = (&'static str, Duration);

fn id(n: u32) -> BlockId {
    BlockId(Uuid::from_u128(u128::from(n) + 1))
}

fn open(directory: &Path, env: &Env) -> Result<Volume> {
    let identity = Identity::new(NodeId(Uuid::from_u128(1)), VolumeId(Uuid::from_u128(2)), None);
    let lock = DirectoryLock::take(&RealDisk, directory)?;
    identity.write(&RealDisk, directory)?;
    let options = VolumeOptions {
        reserve_bytes: 0,
        segment_bytes_max: PER_SEGMENT * RECORD + 64,
        trash_age: Duration::ZERO,
        ..VolumeOptions::default()
    };
    Ok(Volume::open(Arc::new(RealDisk), directory, lock, &identity, options, env.clone())?)
}

async fn put(volume: &Volume, id: BlockId) -> std::result::Result<(), VolumeError> {
    let mut bytes = vec![7; BLOCK];
    bytes[..16].copy_from_slice(id.0.as_bytes());
    let mut writer = volume.writer(id, BLOCK as u64, crc32c(&bytes)).await?;
    writer.write(Bytes::from(bytes)).await?;
    writer.finish().await
}

/// Runs a function on a thread that may block, as calls of a volume require.
async fn aside<T: Send + 'static>(
    volume: &Arc<Volume>,
    work: impl FnOnce(&Volume) -> std::result::Result<T, VolumeError> + Send + 'static,
) -> Result<T> {
    let volume = volume.clone();
    Ok(tokio::task::spawn_blocking(move || work(&volume)).await??)
}

/// The time that `percent` of the times do not exceed.
fn percentile(mut times: Vec<Duration>, percent: usize) -> Duration {
    times.sort_unstable();
    times.get(times.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
}

async fn median<F: Future<Output = Result<()>>>(
    env: &Env,
    rounds: u32,
    mut work: impl FnMut(u32) -> F,
) -> Result<Duration> {
    let mut times = Vec::new();
    for round in 0..rounds {
        let began = env.monotonic();
        work(round).await?;
        times.push(env.monotonic() - began);
    }
    Ok(percentile(times, 50))
}

/// Deletes two thirds of the blocks of these segments, so that they are due for compaction.
async fn delete_most_of(volume: &Volume, segments: std::ops::Range<u32>) -> Result<()> {
    let blocks = (segments.start * PER_SEGMENT..segments.end * PER_SEGMENT).filter(|n| n % 3 != 0);
    try_join_all(blocks.map(|n| volume.delete(id(n)))).await?;
    Ok(())
}

/// The time that the volume needs to open. It is closed again.
fn start(directory: &Path, env: &Env) -> Result<Duration> {
    let began = env.monotonic();
    let volume = open(directory, env)?;
    let took = env.monotonic() - began;
    volume.close();
    Ok(took)
}

async fn measure(segments: u32, env: &Env) -> Result<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    let volume = Arc::new(open(directory.path(), env)?);
    let blocks = segments * PER_SEGMENT;
    for first in (0..blocks).step_by(AT_ONCE as usize) {
        try_join_all((first..first + AT_ONCE).map(|n| put(&volume, id(n)))).await?;
    }
    volume.close();
    drop(volume);
    let mut rows = vec![("a start", start(directory.path(), env)?)];
    std::fs::remove_file(directory.path().join("checkpoint"))?;
    rows.push(("a start without a checkpoint", start(directory.path(), env)?));
    let volume = Arc::new(open(directory.path(), env)?);
    let probe = |_| async {
        aside(&volume, |volume| volume.probe()).await?;
        aside(&volume, |volume| volume.lose_missing_segments()).await.map(|_| ())
    };
    rows.push(("a probe", median(env, ROUNDS, probe).await?));
    let missing = |_| async { aside(&volume, |volume| volume.lose_missing_segments()).await.map(|_| ()) };
    rows.push(("of which: missing segments", median(env, ROUNDS, missing).await?));
    let page = |round| {
        let after = id(blocks / 2 + round);
        let volume = &volume;
        async move { aside(volume, move |volume| Ok(volume.page(Some(after), REPORT_PAGE))).await.map(|_| ()) }
    };
    rows.push(("a page of a report", median(env, ROUNDS, page).await?));
    delete_most_of(&volume, 0..COMPACTIONS).await?;
    let compact = |_| async { aside(&volume, |volume| volume.compact()).await.map(|_| ()) };
    rows.push(("a compaction of a segment", median(env, COMPACTIONS, compact).await?));
    rows.extend(clients(&volume, blocks, env).await?);
    volume.close();
    Ok(rows)
}

/// The waiting times of clients while all operations above run without a rest.
async fn clients(volume: &Arc<Volume>, blocks: u32, env: &Env) -> Result<Vec<Row>> {
    delete_most_of(volume, COMPACTIONS..COMPACTIONS + 40).await?;
    let until = env.monotonic() + CLIENTS_FOR;
    let is_over = Arc::new(AtomicBool::new(false));
    let (at, over) = (volume.clone(), is_over.clone());
    let upkeep = tokio::task::spawn_blocking(move || {
        while !over.load(Ordering::Relaxed) {
            at.probe()?;
            at.lose_missing_segments()?;
            at.page(Some(id(blocks / 2)), REPORT_PAGE);
            at.compact()?;
        }
        Ok::<_, VolumeError>(())
    });
    let client = |number: u32| async move {
        let (mut puts, mut gets) = (Vec::new(), Vec::new());
        for n in 0u32.. {
            let began = env.monotonic();
            if began >= until {
                break;
            }
            put(volume, id(blocks + n * CLIENTS + number)).await?;
            let stored = env.monotonic();
            // No block of the last third is deleted.
            let wanted = id(blocks - 1 - n.wrapping_mul(7919).wrapping_add(number) % (blocks / 3));
            let read = move |volume: &Volume| {
                volume.reader(wanted).and_then(|reader| reader.read(0, reader.length()))
            };
            aside(volume, read).await?;
            puts.push(stored - began);
            gets.push(env.monotonic() - stored);
        }
        Result::Ok((puts, gets))
    };
    let served = join_all((0..CLIENTS).map(client)).await;
    is_over.store(true, Ordering::Relaxed);
    upkeep.await??;
    let (mut puts, mut gets) = (Vec::new(), Vec::new());
    for served in served {
        let (more_puts, more_gets) = served?;
        puts.extend(more_puts);
        gets.extend(more_gets);
    }
    Ok(vec![
        ("put, median", percentile(puts.clone(), 50)),
        ("put, 99 % within", percentile(puts, 99)),
        ("get, median", percentile(gets.clone(), 50)),
        ("get, 99 % within", percentile(gets, 99)),
    ])
}

#[tokio::main]
async fn main() -> Result<()> {
    let env = Env::system();
    let small = measure(100, &env).await?;
    let large = measure(10_000, &env).await?;
    let mut table =
        "| in microseconds | 10^4 blocks, 100 segments | 10^6 blocks, 10,000 segments | ratio |\n".to_owned();
    table.push_str("|---|---|---|---|\n");
    for ((what, small), (_, large)) in small.iter().zip(&large) {
        let ratio = large.as_secs_f64() / small.as_secs_f64();
        writeln!(table, "| {what} | {} | {} | {ratio:.2} × |", small.as_micros(), large.as_micros())?;
    }
    std::io::stdout().write_all(table.as_bytes())?;
    Ok(())
}
