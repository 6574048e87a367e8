//! What a reader sees while other requests complete and abort uploads.

use cairn_protocol::metadata::*;
use futures_util::future::join_all;

use crate::cluster::Cluster;

contract! {
    the_parts_of_an_upload_are_seen_together_with_it,
}

/// The upload was looked up in one statement and its parts in the next. When it was completed or aborted in between, it
/// seemed to be in progress and to have no parts. A gateway that completed it returned `InvalidPart`, though the upload
/// did not exist any more.
async fn the_parts_of_an_upload_are_seen_together_with_it(cluster: &Cluster) {
    cluster.bucket("b").await;
    for round in 0..40 {
        let upload = cluster.begin("b", "k").await;
        let part = cluster.add(&upload, 1, &[1]).await;
        let end = async {
            if round % 2 == 0 {
                cluster.abort(&upload).await.unwrap();
            } else {
                cluster.complete_upload(cluster.completion(&upload, &[part])).await.unwrap();
            }
        };
        let list = |_| cluster.list_parts(ListParts { target: upload.clone(), after: 0, max: 10 });
        let (seen, ()) = tokio::join!(join_all((0..24).map(list)), end);
        for page in seen {
            match page {
                Ok(page) => {
                    let parts: Vec<_> = page.parts.iter().map(|part| (part.number, part.part)).collect();
                    assert_eq!(parts, [part], "an upload in progress without its part");
                }
                Err(MetadataError::NoSuchUpload) => assert_eq!(round % 2, 0),
                Err(MetadataError::UploadCompleted { .. }) => assert_eq!(round % 2, 1),
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}
