//! Changes of metadata are repeated until their outcome is known.
//!
//! When the metanode dies after it has committed, its answer is lost, and the client's own next attempt would be
//! another change: a copy that must find nothing finds itself (412), a delete deletes what came since. So the gateway
//! itself asks again, under the same id, and gets the first outcome. This stands between the operations and the
//! metanode, so that no operation can forget it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_protocol::env::Env;
use cairn_protocol::metadata::*;

/// How long a change whose outcome is unknown is repeated: longer than a metanode takes to restart, and well below
/// the minute after which S3 clients give up. The metanode remembers outcomes for longer.
const REPEAT_FOR: Duration = Duration::from_secs(20);

/// How long to wait in between.
const REPEAT_DELAY: Duration = Duration::from_millis(300);

/// A metanode whose lost answers are asked for again.
pub(crate) struct Repeating {
    metadata: Arc<dyn Metadata>,
    env: Env,
}

impl std::fmt::Debug for Repeating {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Repeating")
    }
}

impl Repeating {
    /// Asks `metadata`.
    pub(crate) fn new(metadata: Arc<dyn Metadata>, env: Env) -> Self {
        Self { metadata, env }
    }

    /// Does something that the metanode recognises when it is repeated, until its outcome is known.
    async fn until_known<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, MetadataError>
    where
        F: Future<Output = Result<T, MetadataError>>,
    {
        let deadline = self.env.monotonic() + REPEAT_FOR;
        loop {
            match attempt().await {
                Err(MetadataError::Unavailable { reason }) if self.env.monotonic() < deadline => {
                    cairn_protocol::warn_peer!(%reason, "the outcome of an operation is unknown");
                    self.env.sleep(REPEAT_DELAY).await;
                }
                outcome => return outcome,
            }
        }
    }
}

/// Every operation of the service, as one that is asked once or as one that is repeated.
macro_rules! operations {
    (
        once { $( $once:ident($once_request:ty) -> $once_reply:ty; )+ }
        repeated { $( $repeated:ident($request:ty) -> $reply:ty; )+ }
    ) => {
        #[async_trait]
        impl Metadata for Repeating {
            $( async fn $once(&self, request: $once_request) -> Result<$once_reply, MetadataError> {
                self.metadata.$once(request).await
            } )+
            $( async fn $repeated(&self, request: $request) -> Result<$reply, MetadataError> {
                self.until_known(|| self.metadata.$repeated(request.clone())).await
            } )+
        }
    };
}

operations! {
    once {
        // Reads: the client's own next attempt is as good as ours.
        get_bucket(BucketRef) -> BucketInfo;
        list_buckets(ListBuckets) -> BucketPage;
        lookup_object(LookupObject) -> LocatedObject;
        list_extents(ListExtents) -> ExtentPage;
        locate_blocks(LocateBlocks) -> Vec<BlockLocation>;
        list_object_parts(ListObjectParts) -> ObjectPartPage;
        list_objects(ListObjects) -> ObjectPage;
        get_upload(UploadRef) -> UploadInfo;
        list_parts(ListParts) -> PartPage;
        list_uploads(ListUploads) -> UploadPage;
        check_storage_class(StorageClassRef) -> ();
        find_access_key(AccessKeyRef) -> Option<AccessKeySecret>;
        root_credentials(RootCredentialsRequest) -> RootCredentials;
        // What is done about grants, reads and replicas has no outcome that a client hears of; the data path
        // decides what is worth another attempt.
        renew_reads(RenewReads) -> ();
        allocate_blocks(AllocateBlocks) -> Vec<Grant>;
        renew_grants(RenewGrants) -> Vec<Grant>;
        release_grants(ReleaseGrants) -> ();
        report_replica(ReplicaReport) -> ();
    }
    repeated {
        create_bucket(CreateBucket) -> BucketInfo;
        delete_bucket(DeleteBucket) -> ();
        commit_object(CommitObject) -> Committed;
        copy_object(CopyObject) -> Committed;
        delete_objects(DeleteObjects) -> Vec<Result<Deleted, MetadataError>>;
        update_tags(UpdateTags) -> ();
        create_upload(CreateUpload) -> UploadInfo;
        put_part(PutPart) -> PartCommitted;
        copy_part(CopyPart) -> PartCommitted;
        complete_upload(CompleteUpload) -> Committed;
        abort_upload(AbortUpload) -> ();
    }
}
