//! The other work beside PUTs.

use std::pin::Pin;
use std::time::Duration;

use cairn_metanode::block_manager::BlockManagerConfig;
use cairn_protocol::cluster::{BlockReport, ReportedReplica};
use cairn_protocol::id::{NodeId, UploadId};
use cairn_protocol::metadata::{
    CreateUpload, DeleteBucket, DeleteObject, DeleteObjects, ListEntry, ListMark, ListObjects,
    ObjectAttributes, Tags, UploadRef, WriteCondition,
};
use futures_util::future::{join_all, ready};
use futures_util::{FutureExt, StreamExt, stream};

use super::SPAN;
use super::stage::{BUCKET, Stage};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A kind of work that goes on beside PUTs.
pub(crate) struct Neighbour {
    pub(crate) name: &'static str,
    pub(crate) config: fn(BlockManagerConfig) -> BlockManagerConfig,
    /// Prepares the work, and returns what runs while PUTs are measured.
    pub(crate) prepare: fn(Stage) -> Pin<Box<dyn Future<Output = Work>>>,
}

pub(crate) fn all() -> Vec<Neighbour> {
    let same: fn(BlockManagerConfig) -> BlockManagerConfig = |config| config;
    vec![
        Neighbour {
            name: "beside itself",
            config: same,
            prepare: |_| ready(ready(()).boxed()).boxed_local(),
        },
        Neighbour {
            name: "deletes: 4 clients with DeleteObjects of 1,000 keys",
            config: same,
            prepare: |stage| deletes(stage).boxed_local(),
        },
        Neighbour {
            name: "garbage: 100,000 extents are collected",
            config: |config| BlockManagerConfig { lease: 2 * SPAN, garbage_grace: 2 * SPAN, ..config },
            prepare: |stage| garbage(stage).boxed_local(),
        },
        Neighbour {
            name: "bucket: 30,000 uploads of a deleted bucket are swept",
            config: same,
            prepare: |stage| sweep(stage).boxed_local(),
        },
        Neighbour {
            name: "reports: 4 nodes report 5,000 replicas, as expected",
            config: same,
            prepare: |stage| reports(stage, false).boxed_local(),
        },
        Neighbour {
            name: "reports: 4 nodes lose and find 5,000 replicas",
            config: |config| BlockManagerConfig {
                heartbeat_interval: Duration::from_millis(1),
                report_age: Duration::from_millis(2),
                ..config
            },
            prepare: |stage| reports(stage, true).boxed_local(),
        },
        Neighbour {
            name: "listings: 3 clients list 50,000 keys",
            config: same,
            prepare: |stage| listings(stage).boxed_local(),
        },
    ]
}

async fn deletes(stage: Stage) -> Work {
    const CLIENTS: u32 = 4;
    const KEYS: u32 = 20_000;
    for client in 0..CLIENTS {
        stage.fill(&format!("deleted{client}/"), KEYS, 0).await;
    }
    let client = move |client: u32| {
        let stage = stage.clone();
        async move {
            for first in (0..).step_by(1_000) {
                let key = |number| format!("deleted{client}/{:08}", number % KEYS);
                let object = |number| DeleteObject {
                    key: key(number),
                    condition: WriteCondition::None,
                    version: None,
                    bypass_governance: false,
                };
                let objects = (first..first + 1_000).map(object).collect();
                let request = DeleteObjects { bucket: BUCKET.to_owned(), objects, mutation: None };
                stage.metadata().delete_objects(request).await.unwrap();
            }
        }
    };
    join_all((0..CLIENTS).map(client)).map(|_: Vec<()>| ()).boxed()
}

async fn garbage(stage: Stage) -> Work {
    stage.fill("garbage/", 200, 500).await;
    let key = |number| format!("garbage/{number:08}");
    let object = |number| DeleteObject {
        key: key(number),
        condition: WriteCondition::None,
        version: None,
        bypass_governance: false,
    };
    let objects = (0..200).map(object).collect();
    let request = DeleteObjects { bucket: BUCKET.to_owned(), objects, mutation: None };
    stage.metadata().delete_objects(request).await.unwrap();
    // The garbage is due a second after PUTs were measured alone.
    stage.env.sleep(SPAN - Duration::from_secs(1)).await;
    ready(()).boxed()
}

async fn sweep(stage: Stage) -> Work {
    const OTHER: &str = "deleted";
    stage.make_bucket(OTHER).await;
    let begin = async |number: u32| {
        let target = UploadRef {
            bucket: OTHER.to_owned(),
            key: format!("{number:08}"),
            upload: UploadId(stage.env.uuid_v7()),
        };
        let (attributes, tags) = (ObjectAttributes::default(), Tags::default());
        let request = CreateUpload { target, attributes, tags, checksum: None };
        stage.metadata().create_upload(request).await.unwrap();
    };
    stream::iter(0..30_000).map(begin).buffer_unordered(64).collect::<Vec<_>>().await;
    async move {
        let request = DeleteBucket { bucket: OTHER.to_owned(), mutation: None };
        stage.metadata().delete_bucket(request).await.unwrap();
    }
    .boxed()
}

/// Nodes report all their replicas, and, if `lossy`, every other time none.
async fn reports(stage: Stage, lossy: bool) -> Work {
    const REPORTING: usize = 4;
    // Each of the six nodes has a little less than a page of replicas.
    let mut stored = stage.fill("reported/", 190, 50).await;
    stored.sort_unstable_by_key(|(replica, _)| replica.block);
    let report = |(node, incarnation): (NodeId, u64)| {
        let holds =
            |(replica, nodes): &(ReportedReplica, Vec<NodeId>)| nodes.contains(&node).then_some(*replica);
        let held: Vec<_> = stored.iter().filter_map(holds).collect();
        let through = held.last().map(|replica| replica.block);
        let cluster = stage.metanode.cluster();
        async move {
            loop {
                // A page in the middle. The last page, after which workers examine everything, comes once a day.
                let full = BlockReport::new(node, incarnation, None, through, held.clone());
                cluster.report_blocks(full).await.unwrap();
                if lossy {
                    let empty = BlockReport::new(node, incarnation, None, through, Vec::new());
                    cluster.report_blocks(empty).await.unwrap();
                }
            }
        }
    };
    let reporting: Vec<_> = stage.nodes.iter().copied().take(REPORTING).map(report).collect();
    join_all(reporting).map(|_: Vec<()>| ()).boxed()
}

async fn listings(stage: Stage) -> Work {
    stage.fill("listed/", 50_000, 0).await;
    let client = move |_| {
        let stage = stage.clone();
        async move {
            let mut after = None;
            loop {
                let request = ListObjects {
                    bucket: BUCKET.to_owned(),
                    prefix: "listed/".to_owned(),
                    delimiter: None,
                    after,
                    max: 1_000,
                };
                let page = stage.metadata().list_objects(request).await.unwrap();
                after = match page.entries.last() {
                    Some(ListEntry::Object(last)) if page.truncated => Some(ListMark::Key(last.key.clone())),
                    Some(_) | None => None,
                };
            }
        }
    };
    join_all((0..3).map(client)).map(|_: Vec<()>| ()).boxed()
}
