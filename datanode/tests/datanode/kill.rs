//! Acknowledged operations survive SIGKILL, with a real process on a real disk.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use cairn_datanode::volume::VolumeOptions;
use cairn_datanode::volume::disk::RealDisk;
use cairn_datanode::volume::volumes::Volumes;
use cairn_protocol::checksum::crc32c;
use cairn_protocol::env::Env;

use crate::support::{content, id};

/// The variable with the directory for the child process that is killed.
const CHILD: &str = "CAIRN_TEST_KILL_DIRECTORY";

fn open(directory: PathBuf) -> Volumes {
    let options = VolumeOptions {
        reserve_bytes: 0,
        dedicated_segment_bytes_min: 50_000,
        segment_bytes_max: 200_000,
        ..VolumeOptions::default()
    };
    Volumes::open(Arc::new(RealDisk), &[directory], &options, &Env::system()).unwrap()
}

fn length(n: u64) -> usize {
    if n.is_multiple_of(5) { 300_000 } else { 700 * (n as usize % 7 + 1) }
}

/// The child: it stores blocks, four at a time, deletes some, and prints a line for each operation that was acknowledged.
async fn store_until_killed(directory: PathBuf) {
    let set = Arc::new(open(directory));
    let writers = (0..4).map(|writer| {
        let set = set.clone();
        tokio::spawn(async move {
            for n in (writer..).step_by(4) {
                let bytes = content(n, length(n));
                let volume = set.in_order_for_writing().remove(0);
                let block = id(n.into());
                let mut write = volume.writer(block, bytes.len() as u64, crc32c(&bytes)).await.unwrap();
                write.write(bytes).await.unwrap();
                write.finish().await.unwrap();
                let mut says = format!("stored {n}\n");
                if n.is_multiple_of(3) {
                    assert!(set.delete(block).await.unwrap());
                    says.push_str(&format!("deleted {n}\n"));
                }
                std::io::stdout().lock().write_all(says.as_bytes()).unwrap();
            }
        })
    });
    futures_util::future::join_all(writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_while_it_writes_has_kept_what_it_acknowledged() {
    if let Some(directory) = std::env::var_os(CHILD) {
        return store_until_killed(directory.into()).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let (mut stored, mut deleted) = (Vec::new(), Vec::new());
    for lines in [3, 40, 200] {
        // Blocks of an earlier round are stored again under the same ids, with the same contents.
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["kill::a_process_killed_while_it_writes_has_kept_what_it_acknowledged", "--nocapture"])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told: Vec<String> = said.by_ref().take(lines).map(Result::unwrap).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        told.extend(said.map_while(Result::ok));
        (stored, deleted) = (Vec::new(), Vec::new());
        for line in &told {
            match line.split_once(' ') {
                Some(("stored", n)) => stored.push(n.parse::<u64>().unwrap()),
                Some(("deleted", n)) => deleted.push(n.parse::<u64>().unwrap()),
                Some(_) | None => {}
            }
        }
        let set = open(directory.path().to_path_buf());
        for n in &stored {
            match set.find(&id((*n).into())) {
                Some((volume, _)) => {
                    let reader = volume.reader(id((*n).into())).unwrap();
                    assert_eq!(reader.read(0, reader.length()).unwrap(), content(*n, length(*n)));
                    assert!(!deleted.contains(n), "{n} was deleted");
                }
                None => assert!(n.is_multiple_of(3), "{n} was stored"),
            }
        }
        for (block, found) in set.page(None, usize::MAX) {
            let (volume, _) = set.find(&block).unwrap();
            let reader = volume.reader(block).unwrap();
            assert_eq!(crc32c(&reader.read(0, reader.length()).unwrap()), found.crc);
        }
        set.close();
    }
    assert!(!stored.is_empty() && !deleted.is_empty());
}
