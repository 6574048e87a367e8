//! The metanode's service, as an operation has it: each call carries the state of access control that the request was allowed in.

use std::sync::Arc;

use async_trait::async_trait;
use cairn_protocol::metadata::*;

use super::ticket::Ticket;

/// The metanode's service for one request.
pub(super) struct Guarded {
    inner: Arc<dyn Metadata>,
    ticket: Arc<Ticket>,
}

impl std::fmt::Debug for Guarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guarded")
    }
}

impl Guarded {
    /// Guards `inner` by what `ticket` allows.
    pub(super) fn new(inner: Arc<dyn Metadata>, ticket: Arc<Ticket>) -> Self {
        Self { inner, ticket }
    }
}

/// Implements operations of the service. After a change of a bucket, the gateway does not remember it any more, so that its next
/// request sees the change.
macro_rules! operations {
    (change_a_bucket { $( $change:ident($changes:ty) -> $changed:ty; )+ }
     others { $( $op:ident($request:ty) -> $reply:ty; )+ }) => {
        #[async_trait]
        impl Metadata for Guarded {
            /// An object may have been replaced since it was decided who may read it. So what is returned is what was decided about.
            async fn lookup_object(&self, request: LookupObject) -> Result<LocatedObject, MetadataError> {
                let found = self.ticket.call(|| self.inner.lookup_object(request.clone())).await?;
                self.ticket.check_object(&request, &found.object)?;
                Ok(found)
            }
            $( async fn $change(&self, request: $changes) -> Result<$changed, MetadataError> {
                let bucket = request.bucket.clone();
                let outcome = self.ticket.call(|| self.inner.$change(request.clone())).await;
                // Also after an error: the change may have been made all the same.
                self.ticket.forget_bucket(&bucket);
                outcome
            } )+
            $( async fn $op(&self, request: $request) -> Result<$reply, MetadataError> {
                self.ticket.call(|| self.inner.$op(request.clone())).await
            } )+
        }
    };
}

operations! {
    change_a_bucket {
        set_versioning(SetVersioning) -> ();
        set_bucket_lock(SetBucketLock) -> ();
        delete_bucket(DeleteBucket) -> ();
        put_bucket_configuration(PutBucketConfiguration) -> u64;
    }
    others {
        create_bucket(CreateBucket) -> BucketInfo;
        get_bucket(BucketRef) -> BucketInfo;
        list_buckets(ListBuckets) -> BucketPage;
        get_bucket_configurations(BucketRef) -> BucketConfigurations;
        get_account_configuration(AccountConfigurationRef) -> Option<String>;
        put_account_configuration(PutAccountConfiguration) -> ();
        list_extents(ListExtents) -> ExtentPage;
        renew_reads(RenewReads) -> ();
        locate_blocks(LocateBlocks) -> Vec<BlockLocation>;
        list_object_parts(ListObjectParts) -> ObjectPartPage;
        commit_object(CommitObject) -> Committed;
        copy_object(CopyObject) -> Committed;
        rename_object(RenameObject) -> Renamed;
        find_rename(RenameRef) -> Option<Renamed>;
        delete_objects(DeleteObjects) -> Vec<Result<Deleted, MetadataError>>;
        update_tags(UpdateTags) -> Option<VersionName>;
        put_object_lock(PutObjectLock) -> Option<VersionName>;
        update_access(UpdateAccess) -> Option<VersionName>;
        list_objects(ListObjects) -> ObjectPage;
        list_versions(ListVersions) -> VersionPage;
        create_upload(CreateUpload) -> UploadInfo;
        get_upload(UploadRef) -> UploadInfo;
        put_part(PutPart) -> PartCommitted;
        copy_part(CopyPart) -> PartCommitted;
        list_parts(ListParts) -> PartPage;
        list_uploads(ListUploads) -> UploadPage;
        complete_upload(CompleteUpload) -> Committed;
        abort_upload(AbortUpload) -> ();
        check_storage_class(StorageClassRef) -> ();
        allocate_blocks(AllocateBlocks) -> Vec<Grant>;
        renew_grants(RenewGrants) -> Vec<Grant>;
        release_grants(ReleaseGrants) -> ();
        report_replica(ReplicaReport) -> ();
        find_access_key(AccessKeyRef) -> Option<AccessKey>;
        find_role(RoleRef) -> Option<FoundRole>;
        find_principals(FindPrincipals) -> Vec<FoundPrincipal>;
        root_credentials(RootCredentialsRequest) -> RootCredentials;
    }
}
