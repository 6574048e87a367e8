//! Deletes objects, in mutations of 25 keys, so that no PUT waits for a delete of a thousand.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::MutationId;
use cairn_protocol::metadata::{DeleteObject, DeleteObjects, Deleted, MetadataError};
use futures_util::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use super::check_condition;
use crate::block_manager;
use crate::namespace::{Namespace, bucket_id, malformed};
use crate::store::buckets::BucketId;
use crate::store::{self, Connection};

/// Upper limit of objects in a call, that of S3's DeleteObjects
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>).
const DELETE_MAX: usize = 1000;

/// Objects that one mutation deletes, in order. It takes about a millisecond; then other mutations may run.
const PART: usize = 25;

/// Mutations of deletes of several objects that wait for the writer at the same time, over all callers. A PUT waits for
/// no more than these. They suffice to keep the writer busy while their callers receive the answers.
pub(in crate::namespace) const PARTS_WAITING: usize = 2;

type Answers = Vec<Result<Deleted, MetadataError>>;

impl Namespace {
    /// Deletes objects part by part, and returns when the deletes are on stable storage. If it fails in the middle,
    /// some objects are deleted and the caller does not learn which. A repetition returns the answers of all of them,
    /// because each part remembers its answers.
    pub(in crate::namespace) async fn delete_objects(
        &self,
        request: DeleteObjects,
    ) -> Result<Answers, MetadataError> {
        let DeleteObjects { bucket, objects, mutation } = request;
        if objects.len() > DELETE_MAX {
            return Err(malformed(format!("at most {DELETE_MAX} objects are deleted at once")));
        }
        if objects.len() <= PART {
            return self.delete_part(bucket, objects, mutation).await;
        }
        if mutation.is_some() {
            // An earlier version deleted all objects in one mutation, and may have ended before its gateway got the
            // reply.
            let mut reader = self.store.read().await?;
            let whole: Option<Answers> = store::mutations::find(&mut reader, mutation).await?;
            if let Some(answers) = whole.filter(|answers| answers.len() == objects.len()) {
                return Ok(answers);
            }
        }
        let parts: Vec<_> = objects.chunks(PART).map(<[DeleteObject]>::to_vec).enumerate().collect();
        stream::iter(parts)
            .map(|(number, part)| {
                let mutation = mutation.map(|mutation| of_part(mutation, number * PART));
                self.delete_part(bucket.clone(), part, mutation)
            })
            .buffered(PARTS_WAITING)
            .try_concat()
            .await
    }

    async fn delete_part(
        &self,
        bucket: String,
        objects: Vec<DeleteObject>,
        mutation: Option<MutationId>,
    ) -> Result<Answers, MetadataError> {
        let _turn = if objects.len() > 1 { self.deletes.acquire().await.ok() } else { None };
        let env = self.env.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let done: Option<Answers> = store::mutations::find(tx, mutation).await?;
                    if let Some(answers) = done.filter(|answers| answers.len() == objects.len()) {
                        return Ok(answers);
                    }
                    let now = env.now();
                    let bucket = bucket_id(tx, &bucket).await?;
                    let answers = delete_all(tx, bucket, &objects, now).await?;
                    store::mutations::remember_many(tx, mutation, &answers, answers.len(), now).await?;
                    Ok(answers)
                })
            })
            .await
    }
}

/// The mutation id of the part that begins with the object of index `first`. The ids of a call's parts are close to
/// each other. The ids of different calls are random, so their parts do not collide.
fn of_part(mutation: MutationId, first: usize) -> MutationId {
    MutationId(Uuid::from_u128(mutation.0.as_u128().wrapping_add(first as u128)))
}

async fn delete_all(
    tx: &mut Connection,
    bucket: BucketId,
    objects: &[DeleteObject],
    now: Timestamp,
) -> Result<Answers, MetadataError> {
    let mut answers = Vec::with_capacity(objects.len());
    for object in objects {
        answers.push(match delete_one(tx, bucket, object, now).await {
            Err(refused @ (MetadataError::PreconditionFailed | MetadataError::ConditionOnMissingKey)) => {
                Err(refused)
            }
            // Any other error is the database's, and rolls back the whole part.
            other => Ok(other?),
        });
    }
    Ok(answers)
}

async fn delete_one(
    tx: &mut Connection,
    bucket: BucketId,
    object: &DeleteObject,
    now: Timestamp,
) -> Result<Deleted, MetadataError> {
    check_condition(tx, bucket, &object.key, &object.condition).await?;
    let version = store::objects::retire_current(tx, bucket, &object.key, now).await?;
    if let Some(version) = version {
        block_manager::retire(tx, version.as_bytes(), now).await?;
    }
    Ok(Deleted { version })
}
