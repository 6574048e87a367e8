//! A delete of many objects is several mutations.

use cairn_protocol::id::{MutationId, VersionId};
use cairn_protocol::metadata::*;
use futures_util::FutureExt;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Namespace;
use super::tests::{commit, lookup, namespace};
use crate::store::{self, StoreError, tests as store_tests};

fn key(number: usize) -> String {
    format!("p00/{number:08}")
}

/// A request to delete the first `objects` objects that `store_tests::fill` makes.
fn delete(objects: usize, mutation: Option<MutationId>) -> DeleteObjects {
    let object = |number| DeleteObject {
        key: key(number),
        condition: WriteCondition::None,
        version: None,
        bypass_governance: false,
    };
    DeleteObjects { bucket: "b".to_owned(), objects: (0..objects).map(object).collect(), mutation }
}

/// The answer for an object that `store_tests::fill` made.
fn deleted(number: usize) -> Result<Deleted, MetadataError> {
    let bytes: [u8; 16] = format!("{number:016}").into_bytes().try_into().unwrap();
    Ok(Deleted { version: Some(VersionId(Uuid::from_bytes(bytes))), marker: None })
}

async fn left(namespace: &Namespace) -> usize {
    let list = ListObjects {
        bucket: "b".to_owned(),
        prefix: String::new(),
        delimiter: None,
        after: None,
        max: 10_000,
    };
    namespace.list_objects(list).await.unwrap().entries.len()
}

/// DeleteObjects of 1,000 keys was one mutation, and every write behind it waited until all keys were deleted.
#[tokio::test]
async fn a_put_waits_for_at_most_fifty_keys_of_a_large_delete() {
    let (namespace, _directory) = namespace().await;
    store_tests::fill(&namespace.store, 1_000, 1).await;
    let (began, beginning) = oneshot::channel();
    let (let_go, held) = oneshot::channel::<()>();
    let hold = namespace.store.write(|_| {
        async move {
            began.send(()).unwrap();
            held.await.unwrap();
            Ok::<_, StoreError>(())
        }
        .boxed()
    });
    let rest = async {
        beginning.await.unwrap();
        let mut deletes = Box::pin(namespace.delete_objects(delete(1_000, None)));
        assert!((&mut deletes).now_or_never().is_none(), "it waits for the writer");
        let put = namespace.commit_object(commit(&namespace, "put", "e"));
        let seen = namespace.store.write(|tx| store_tests::count_objects(tx).boxed());
        let_go.send(()).unwrap();
        let (answers, put, seen) = tokio::join!(deletes, put, seen);
        put.unwrap();
        (answers.unwrap(), seen.unwrap())
    };
    let (held, (answers, seen)) = tokio::join!(hold, rest);
    held.unwrap();
    assert_eq!(seen, 951, "fifty were deleted before, and one put");
    assert!(answers.into_iter().eq((0..1_000).map(deleted)), "answers are in the order of the keys");
    assert_eq!(left(&namespace).await, 1);
}

#[tokio::test]
async fn a_repeated_delete_of_many_gets_the_first_answers_and_deletes_nothing() {
    let (namespace, _directory) = namespace().await;
    store_tests::fill(&namespace.store, 60, 1).await;
    let mutation = Some(MutationId(namespace.env.uuid_v7()));
    let first = namespace.delete_objects(delete(60, mutation)).await.unwrap();
    for number in [0, 30, 59] {
        namespace.commit_object(commit(&namespace, &key(number), "e")).await.unwrap();
    }
    let again = namespace.delete_objects(delete(60, mutation)).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(left(&namespace).await, 3);
    namespace.delete_objects(delete(60, Some(MutationId(namespace.env.uuid_v7())))).await.unwrap();
    assert_eq!(left(&namespace).await, 0);
}

#[tokio::test]
async fn a_delete_that_an_earlier_version_did_in_one_mutation_is_recognised() {
    let (namespace, _directory) = namespace().await;
    store_tests::fill(&namespace.store, 60, 1).await;
    let mutation = Some(MutationId(namespace.env.uuid_v7()));
    let answers: Vec<_> = (100..160).map(deleted).collect();
    let (written, now) = (answers.clone(), namespace.env.now());
    namespace
        .store
        .write(move |tx| {
            async move { store::mutations::remember_many(tx, mutation, &written, 60, now).await }.boxed()
        })
        .await
        .unwrap();
    assert_eq!(namespace.delete_objects(delete(60, mutation)).await.unwrap(), answers);
    assert_eq!(left(&namespace).await, 60);
}

#[tokio::test]
async fn a_delete_that_fails_in_the_middle_is_completed_by_its_repetition() {
    let (namespace, _directory) = namespace().await;
    store_tests::fill(&namespace.store, 60, 1).await;
    let mutation = Some(MutationId(namespace.env.uuid_v7()));
    let broken = "CREATE TRIGGER broken BEFORE DELETE ON versions WHEN OLD.key = CAST('p00/00000055' AS BLOB)
                  BEGIN SELECT RAISE(ABORT, 'broken'); END";
    store_tests::execute(&namespace.store, broken).await;
    assert_eq!(namespace.delete_objects(delete(60, mutation)).await, Err(MetadataError::Internal));
    assert_eq!(left(&namespace).await, 10, "of the part that failed nothing is deleted");
    store_tests::execute(&namespace.store, "DROP TRIGGER broken").await;
    let answers = namespace.delete_objects(delete(60, mutation)).await.unwrap();
    assert!(answers.into_iter().eq((0..60).map(deleted)));
    assert_eq!(left(&namespace).await, 0);
}

#[tokio::test]
async fn a_key_whose_condition_fails_is_refused_alone() {
    let (namespace, _directory) = namespace().await;
    store_tests::fill(&namespace.store, 60, 1).await;
    let mut request = delete(60, None);
    request.objects[40].condition = WriteCondition::Etag("other".to_owned());
    let answers = namespace.delete_objects(request).await.unwrap();
    assert_eq!(answers[40], Err(MetadataError::PreconditionFailed));
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 59);
    assert!(namespace.lookup_object(lookup(&key(40))).await.is_ok());
}
