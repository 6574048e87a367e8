//! Conditions are checked in the transaction of the write, so that no other write comes between.

use cairn_protocol::metadata::*;
use futures_util::future::join_all;

use crate::cluster::Cluster;

contract! {
    of_fifty_concurrent_writes_to_an_absent_key_one_wins,
    of_fifty_concurrent_writes_on_one_etag_one_wins,
    a_condition_on_the_object_decides_the_write,
    a_completion_whose_condition_fails_can_be_repeated,
}

async fn of_fifty_concurrent_writes_to_an_absent_key_one_wins(cluster: &Cluster) {
    cluster.bucket("b").await;
    for round in 0..5 {
        let key = format!("round {round}");
        let writes = (0..50).map(|n| CommitObject {
            condition: WriteCondition::Absent,
            ..cluster.object("b", &key, &format!("writer {n}"), &[1])
        });
        let answers = join_all(writes.map(|write| cluster.commit_object(write))).await;
        let winners: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
        assert_eq!(winners.len(), 1);
        assert_eq!(
            answers.iter().filter(|answer| **answer == Err(MetadataError::PreconditionFailed)).count(),
            49
        );
        assert_eq!(cluster.head("b", &key).await.unwrap().version, winners[0].version);
    }
}

async fn of_fifty_concurrent_writes_on_one_etag_one_wins(cluster: &Cluster) {
    cluster.bucket("b").await;
    cluster.put("b", "k", "start", &[1]).await;
    let writes = (0..50).map(|n| CommitObject {
        condition: WriteCondition::Etag("start".into()),
        ..cluster.object("b", "k", &format!("writer {n}"), &[1])
    });
    let answers = join_all(writes.map(|write| cluster.commit_object(write))).await;
    let winners: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(cluster.head("b", "k").await.unwrap().etag, winners[0].etag);
}

async fn a_condition_on_the_object_decides_the_write(cluster: &Cluster) {
    cluster.bucket("b").await;
    let put = async |condition: WriteCondition, etag: &str| {
        let request = CommitObject { condition, ..cluster.object("b", "k", etag, &[1]) };
        cluster.commit_object(request).await.map(|committed| committed.etag)
    };
    let missing = Err(MetadataError::ConditionOnMissingKey);
    let failed = Err(MetadataError::PreconditionFailed);
    assert_eq!(put(WriteCondition::Present, "1").await, missing);
    assert_eq!(put(WriteCondition::Etag("1".into()), "1").await, missing);
    assert_eq!(put(WriteCondition::Absent, "1").await, Ok("1".to_owned()));
    assert_eq!(put(WriteCondition::Absent, "2").await, failed);
    assert_eq!(put(WriteCondition::Etag("2".into()), "2").await, failed);
    assert_eq!(put(WriteCondition::Etag("1".into()), "2").await, Ok("2".to_owned()));
    assert_eq!(put(WriteCondition::Present, "3").await, Ok("3".to_owned()));
    assert_eq!(cluster.head("b", "k").await.unwrap().etag, "3");
}

async fn a_completion_whose_condition_fails_can_be_repeated(cluster: &Cluster) {
    cluster.bucket("b").await;
    cluster.put("b", "k", "there", &[1]).await;
    let upload = cluster.begin("b", "k").await;
    // A part that the request does not name must survive a completion that is refused.
    let parts = [cluster.add(&upload, 1, &[5]).await, cluster.add(&upload, 2, &[6]).await];
    let refused =
        CompleteUpload { condition: WriteCondition::Absent, ..cluster.completion(&upload, &parts[..1]) };
    assert_eq!(cluster.complete_upload(refused).await, Err(MetadataError::PreconditionFailed));
    let done = CompleteUpload {
        condition: WriteCondition::Etag("there".into()),
        ..cluster.completion(&upload, &parts)
    };
    cluster.complete_upload(done).await.unwrap();
    assert_eq!(cluster.head("b", "k").await.unwrap().length, 11);
}
