//! Acknowledged writes survive the end of the process, in whatever way it ends.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use cairn_protocol::env::Env;
use cairn_protocol::event::EventBus;
use cairn_protocol::id::VersionId;
use cairn_protocol::metadata::*;
use futures_util::future::join_all;

use crate::cluster::{Cluster, open, reference};

/// The files as a killed process leaves them, copied while the metanode runs.
fn files_as_they_are(cluster: &Cluster) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    // The log is copied last: a checkpoint moves pages from it to the database and never back, so the copies have every
    // page at least once.
    for file in ["master.key", "metanode.db-wal", "metanode.db"] {
        std::fs::copy(cluster.directory.as_ref().unwrap().path().join(file), copy.path().join(file)).unwrap();
    }
    copy
}

#[tokio::test]
async fn acknowledged_writes_survive_a_kill() {
    let cluster = Cluster::in_process().await;
    cluster.bucket("b").await;
    let upload = cluster.begin("b", "joined").await;
    for n in 0..20 {
        let key = format!("k{n}");
        let version = cluster.put("b", &key, "e", &[5, 6]).await.version;
        let part = cluster.add(&upload, n + 1, &[7]).await;
        if n % 3 == 0 {
            cluster.delete("b", &key, WriteCondition::None).await.unwrap();
        }
        let copy = files_as_they_are(&cluster);
        let reopened = open(copy.path(), &cluster.env, &cluster.events).await;
        assert_eq!(reopened.store().verify_invariants().await.unwrap(), Vec::<String>::new());
        let request = LookupObject {
            bucket: "b".into(),
            key,
            version: None,
            range: LookupRange::Whole,
            extents_max: 5,
        };
        match reopened.metadata().lookup_object(request).await {
            Ok(found) => assert_eq!((found.object.version, found.extents.len()), (version, 2)),
            Err(error) => assert!(n % 3 == 0 && error == MetadataError::NoSuchKey),
        }
        let parts = ListParts { target: upload.clone(), after: n, max: 5 };
        let parts = reopened.metadata().list_parts(parts).await.unwrap().parts;
        assert_eq!(parts.iter().map(|part| (part.number, part.part)).collect::<Vec<_>>(), [part]);
    }
}

#[tokio::test]
async fn a_metanode_that_was_dropped_without_shutdown_starts_where_it_was() {
    let cluster = Cluster::in_process().await;
    cluster.bucket("b").await;
    let committed = cluster.put("b", "k", "e", &[5]).await;
    let credentials = cluster.metanode.root_credentials().clone();
    let Cluster { metanode, metadata, env, events, directory, .. } = cluster;
    let directory = directory.unwrap();
    drop((metanode, metadata));
    let reopened = open(directory.path(), &env, &events).await;
    assert_eq!(reopened.root_credentials(), &credentials);
    let request = LookupObject {
        bucket: "b".into(),
        key: "k".into(),
        version: None,
        range: LookupRange::Whole,
        extents_max: 5,
    };
    assert_eq!(reopened.metadata().lookup_object(request).await.unwrap().object.version, committed.version);
}

const DIRECTORY_VARIABLE: &str = "CAIRN_TEST_KILLED_DIRECTORY";

/// Many writers at once, which print each acknowledged write at once, until they are killed.
#[tokio::test]
async fn write_until_killed() {
    // It runs in a process of its own, which the test below kills. In any other process it does nothing.
    let Ok(directory) = std::env::var(DIRECTORY_VARIABLE) else { return };
    let cluster = Cluster::in_directory(directory.as_ref()).await;
    // After the first kill the bucket exists already.
    let _ = cluster.create_bucket(CreateBucket::new("b", "r")).await;
    join_all((0..8).map(async |writer| {
        for n in 0u64.. {
            let key = format!("{writer}/{}", n % 50);
            let mut request = cluster.object("b", &key, "e", &[3, 4]);
            request.etag = request.version.to_string();
            let committed = cluster.commit_object(request).await.unwrap();
            writeln!(std::io::stdout(), "acknowledged {key} {}", committed.version).unwrap();
        }
    }))
    .await;
}

#[tokio::test]
async fn a_process_killed_in_the_middle_of_writing_loses_nothing_that_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for lines in [1, 40, 333] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "restart::write_until_killed", "--nocapture"])
            .env(DIRECTORY_VARIABLE, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let version = |line: &str| {
            let (key, version) = line.split("acknowledged ").nth(1)?.split_once(' ')?;
            Some((key.to_owned(), version.parse::<VersionId>().unwrap()))
        };
        acknowledged.extend(output.by_ref().filter_map(|line| version(&line)).take(lines));
        child.kill().unwrap();
        // Output before the kill counts too. Its last line may be cut off.
        let rest: Vec<_> = output
            .filter(|line| {
                line.len() > "acknowledged 1/1 ".len() + 35 && line.rsplit(' ').next().unwrap().len() == 36
            })
            .collect();
        acknowledged.extend(rest.iter().filter_map(|line| version(line)));
        child.wait().unwrap();

        let env = Env::system();
        let metanode = open(directory.path(), &env, &EventBus::new(env.clone())).await;
        assert_eq!(metanode.store().verify_invariants().await.unwrap(), Vec::<String>::new());
        for (key, version) in &acknowledged {
            // Most were overwritten since. Their bytes can still be copied.
            let copy = CopyObject {
                source: reference("b", key, *version),
                bucket: "b".into(),
                key: "copy".into(),
                version: VersionId(env.uuid_v7()),
                etag: "e".into(),
                attributes: None,
                tags: None,
                condition: WriteCondition::None,
            };
            metanode.metadata().copy_object(copy).await.unwrap();
            let request = LookupObject {
                bucket: "b".into(),
                key: "copy".into(),
                version: None,
                range: LookupRange::Whole,
                extents_max: 3,
            };
            let found = metanode.metadata().lookup_object(request).await.unwrap();
            assert_eq!(found.extents.len(), 2);
        }
        metanode.close().await;
    }
    assert!(acknowledged.len() >= 1 + 40 + 333);
}
