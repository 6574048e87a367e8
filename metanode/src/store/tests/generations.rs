//! Generations of databases.

use cairn_protocol::cluster::Generation;
use cairn_protocol::id::OpeningId;
use uuid::Uuid;

use super::super::generations::{advance, latest, past};
use super::*;

async fn change(store: &Store) {
    store.write(|tx| advance(tx).boxed()).await.unwrap();
}

async fn open(directory: &Path, opening: u128) -> Store {
    let store = store_in(directory).await;
    store.begin_opening(OpeningId(Uuid::from_u128(opening)));
    store
}

fn generation(opening: u128, sequence: u64) -> Generation {
    Generation { opening: OpeningId(Uuid::from_u128(opening)), sequence }
}

#[tokio::test]
async fn a_database_knows_its_own_generations_and_no_others() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 1).await;
    change(&store).await;
    change(&store).await;
    assert_eq!(store.generation(), Some(generation(1, 2)));
    store.close().await;
    // A start that changes nothing leaves no trace.
    let store = open(directory.path(), 2).await;
    store.write(|tx| run(tx, "DELETE FROM settings")).await.unwrap();
    assert_eq!(store.generation(), Some(generation(1, 2)));
    store.close().await;
    let store = open(directory.path(), 3).await;
    change(&store).await;
    assert_eq!(store.generation(), Some(generation(3, 3)));
    let past = past(&mut store.read().await.unwrap()).await.unwrap();
    assert!(past.knows(generation(1, 2)) && past.knows(generation(3, 3)));
    assert!(!past.knows(generation(1, 3)), "that start ended with its second change");
    assert!(!past.knows(generation(2, 2)) && !past.knows(generation(4, 1)));
}

#[tokio::test]
async fn a_change_that_is_rolled_back_makes_no_generation() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 1).await;
    let failed = store.write(|tx| {
        async move {
            advance(tx).await?;
            Err::<(), _>(StoreError::Panicked)
        }
        .boxed()
    });
    failed.await.unwrap_err();
    assert_eq!(store.generation(), None);
    change(&store).await;
    assert_eq!(store.generation(), Some(generation(1, 1)));
}

// The database is made as the version before left it, with an object in it.
#[tokio::test]
async fn a_database_of_the_version_before_is_opened_and_counts_from_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let row =
        "INSERT INTO object_versions (version_id, bucket_id, key, is_current, length, etag, modified_at,
                                            part_count, attributes, tags)
               VALUES (x'00112233445566778899aabbccddeeff', 1, x'61', 1, 0, '', 0, 0, '{}', '{}')";
    database_of(directory.path(), 4, row).await;
    let store = open(directory.path(), 1).await;
    assert_eq!(latest(&mut store.read().await.unwrap()).await.unwrap(), None);
    change(&store).await;
    assert_eq!(store.generation(), Some(generation(1, 1)));
}
