//! Deletes objects, in mutations of 25 keys, so that no PUT waits for a delete of a thousand.

use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::id::{MutationId, VersionId};
use cairn_protocol::metadata::{
    DeleteObject, DeleteObjects, Deleted, MetadataError, VersionName, Versioning,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use super::{Destination, check_condition, destination, make_delete_marker, retire};
use crate::namespace::schedule::Schedule;
use crate::namespace::{Namespace, condition, malformed};
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
        let (env, lock_clock) = (self.env.clone(), self.blocks.lock_clock().clone());
        let schedule = self.schedule.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let done: Option<Answers> = store::mutations::find(tx, mutation).await?;
                    if let Some(answers) = done.filter(|answers| answers.len() == objects.len()) {
                        return Ok(answers);
                    }
                    let now = env.now();
                    let from = destination(tx, &bucket, &lock_clock).await?;
                    let answers = delete_all(tx, from, &objects, &schedule, &env).await?;
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
    from: Destination,
    objects: &[DeleteObject],
    schedule: &Schedule,
    env: &Env,
) -> Result<Answers, MetadataError> {
    let mut answers = Vec::with_capacity(objects.len());
    for object in objects {
        let marker = VersionId(env.uuid_v7());
        answers.push(match delete_one(tx, from, object, marker, env.now()).await {
            Err(
                refused @ (MetadataError::PreconditionFailed
                | MetadataError::ConditionOnMissingKey
                | MetadataError::ObjectLocked),
            ) => Err(refused),
            // Any other error is the database's, and rolls back the whole part.
            other => {
                let deleted = other?;
                schedule.refresh(tx, (from.bucket, from.rules.lifecycle_revision), &object.key).await?;
                Ok(deleted)
            }
        });
    }
    Ok(answers)
}

async fn delete_one(
    tx: &mut Connection,
    from: Destination,
    object: &DeleteObject,
    marker: VersionId,
    now: Timestamp,
) -> Result<Deleted, MetadataError> {
    match object.version {
        Some(name) => delete_version(tx, from, object, name, now).await,
        None => delete_current(tx, from, object, marker, now).await,
    }
}

/// Deletes what a request without a version id means: the only version, or with versioning a delete marker is put on top.
pub(in crate::namespace) async fn delete_current(
    tx: &mut Connection,
    from: Destination,
    object: &DeleteObject,
    marker: VersionId,
    now: Timestamp,
) -> Result<Deleted, MetadataError> {
    check_condition(tx, from.bucket, &object.key, &object.condition).await?;
    let replaced = match from.versioning {
        Versioning::Enabled => None,
        Versioning::Never | Versioning::Suspended => {
            store::objects::find_named(tx, from.bucket, &object.key, VersionName::Null).await?
        }
    };
    let version = replaced.as_ref().filter(|replaced| !replaced.is_delete_marker);
    let version = version.map(|replaced| replaced.object.version);
    if from.versioning == Versioning::Never {
        if let Some(replaced) = replaced {
            retire(tx, from, &replaced, object.bypass_governance, now).await?;
        }
        return Ok(Deleted { version, marker: None });
    }
    // While versioning is suspended, the marker is the null version and replaces the one before.
    let marker = make_delete_marker(tx, from, &object.key, marker, now).await?;
    Ok(Deleted { version, marker: Some(marker) })
}

/// Deletes a version for good. A version that does not exist is no error, as for AWS, unless the request has a condition.
async fn delete_version(
    tx: &mut Connection,
    from: Destination,
    object: &DeleteObject,
    name: VersionName,
    now: Timestamp,
) -> Result<Deleted, MetadataError> {
    let found = store::objects::find_named(tx, from.bucket, &object.key, name).await?;
    let etag = found.as_ref().filter(|found| !found.is_delete_marker).map(|found| found.object.etag.as_str());
    condition::check(&object.condition, etag)?;
    let Some(found) = found else { return Ok(Deleted::default()) };
    retire(tx, from, &found, object.bypass_governance, now).await?;
    Ok(match found.is_delete_marker {
        true => Deleted { version: None, marker: Some(name) },
        false => Deleted { version: Some(found.object.version), marker: None },
    })
}
