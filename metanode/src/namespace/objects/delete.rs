use cairn_protocol::env::Timestamp;
use cairn_protocol::metadata::{DeleteObject, DeleteObjects, Deleted, MetadataError};

use super::check_condition;
use crate::blocks;
use crate::namespace::{Namespace, bucket_id, malformed};
use crate::store::buckets::BucketId;
use crate::store::{self, Connection};

/// Objects that one call deletes: as many as S3's DeleteObjects takes
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>), in one short transaction.
const DELETE_MAX: usize = 1000;

impl Namespace {
    pub(in crate::namespace) async fn delete(
        &self,
        request: DeleteObjects,
    ) -> Result<Vec<Result<Deleted, MetadataError>>, MetadataError> {
        if request.objects.len() > DELETE_MAX {
            return Err(malformed(format!("at most {DELETE_MAX} objects are deleted at once")));
        }
        let env = self.env.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    if let Some(answers) = store::mutations::find(tx, request.mutation).await? {
                        return Ok(answers);
                    }
                    let now = env.now();
                    let bucket = bucket_id(tx, &request.bucket).await?;
                    let mut answers = Vec::with_capacity(request.objects.len());
                    for object in &request.objects {
                        answers.push(match delete_one(tx, bucket, object, now).await {
                            Err(
                                refused @ (MetadataError::PreconditionFailed
                                | MetadataError::ConditionOnMissingKey),
                            ) => Err(refused),
                            // Anything else is the database's: then none is deleted.
                            other => Ok(other?),
                        });
                    }
                    store::mutations::remember_many(tx, request.mutation, &answers, answers.len(), now)
                        .await?;
                    Ok(answers)
                })
            })
            .await
    }
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
        blocks::retire(tx, version.as_bytes(), now).await?;
    }
    Ok(Deleted { version })
}
