//! Changes of metadata are repeated until their outcome is known.
//!
//! If the metanode dies after a commit, its answer is lost, and a retry by the client would be a new change: a
//! conditional copy would find its own result (412), a delete would remove what was written since. So the gateway
//! repeats the request with the same mutation id and gets the first outcome. This type wraps the metanode's client, so
//! that no operation can forget to repeat.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_protocol::env::Env;
use cairn_protocol::metadata::*;

use crate::retry::while_unavailable;

/// How long a change with an unknown outcome is repeated. It is longer than the restart of a metanode, and well below
/// the minute after which S3 clients time out. The metanode remembers outcomes for longer.
const REPEAT_FOR: Duration = Duration::from_secs(20);

/// The pause between two attempts.
const REPEAT_DELAY: Duration = Duration::from_millis(300);

/// A metanode client that repeats changes whose answers were lost.
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
    /// Wraps `metadata`.
    pub(crate) fn new(metadata: Arc<dyn Metadata>, env: Env) -> Self {
        Self { metadata, env }
    }

    /// Repeats a request, which the metanode recognises by its id, until the outcome is known.
    async fn until_known<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, MetadataError>
    where
        F: Future<Output = Result<T, MetadataError>>,
    {
        while_unavailable(&self.env, (REPEAT_DELAY, REPEAT_FOR), attempt, |error| {
            cairn_protocol::warn_peer!(%error, "the outcome of an operation is unknown");
        })
        .await
    }
}

/// Refuses a version that is not what was written, by its own checksum. The data path checks each extent.
fn check_sound(version: &ObjectVersion) -> Result<(), MetadataError> {
    if version.is_sound() {
        return Ok(());
    }
    cairn_protocol::warn_peer!(version = %version.version, "the metadata of a version is damaged");
    Err(MetadataError::Internal)
}

/// Implements every operation of the service, either sent once or repeated.
macro_rules! operations {
    (
        once { $( $once:ident($once_request:ty) -> $once_reply:ty; )+ }
        repeated { $( $repeated:ident($request:ty) -> $reply:ty; )+ }
    ) => {
        #[async_trait]
        impl Metadata for Repeating {
            async fn lookup_object(&self, request: LookupObject) -> Result<LocatedObject, MetadataError> {
                let found = self.metadata.lookup_object(request).await?;
                check_sound(&found.object)?;
                Ok(found)
            }
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
        // Reads: a retry by the client has the same effect as a repetition here.
        get_bucket(BucketRef) -> BucketInfo;
        get_bucket_configurations(BucketRef) -> BucketConfigurations;
        get_account_configuration(AccountConfigurationRef) -> Option<String>;
        list_buckets(ListBuckets) -> BucketPage;
        list_extents(ListExtents) -> ExtentPage;
        locate_blocks(LocateBlocks) -> Vec<BlockLocation>;
        list_object_parts(ListObjectParts) -> ObjectPartPage;
        list_objects(ListObjects) -> ObjectPage;
        list_versions(ListVersions) -> VersionPage;
        find_rename(RenameRef) -> Option<Renamed>;
        get_upload(UploadRef) -> UploadInfo;
        list_parts(ListParts) -> PartPage;
        list_uploads(ListUploads) -> UploadPage;
        check_storage_class(StorageClassRef) -> ();
        find_access_key(AccessKeyRef) -> Option<AccessKey>;
        find_role(RoleRef) -> Option<FoundRole>;
        find_principals(FindPrincipals) -> Vec<FoundPrincipal>;
        root_credentials(RootCredentialsRequest) -> RootCredentials;
        // No client waits for the outcome of these calls. The data path decides which of them to repeat.
        renew_reads(RenewReads) -> ();
        allocate_blocks(AllocateBlocks) -> Vec<Grant>;
        renew_grants(RenewGrants) -> Vec<Grant>;
        release_grants(ReleaseGrants) -> ();
        report_replica(ReplicaReport) -> ();
    }
    repeated {
        create_bucket(CreateBucket) -> BucketInfo;
        delete_bucket(DeleteBucket) -> ();
        set_versioning(SetVersioning) -> ();
        set_bucket_lock(SetBucketLock) -> ();
        put_bucket_configuration(PutBucketConfiguration) -> u64;
        put_account_configuration(PutAccountConfiguration) -> ();
        commit_object(CommitObject) -> Committed;
        copy_object(CopyObject) -> Committed;
        rename_object(RenameObject) -> Renamed;
        delete_objects(DeleteObjects) -> Vec<Result<Deleted, MetadataError>>;
        update_tags(UpdateTags) -> Option<VersionName>;
        put_object_lock(PutObjectLock) -> Option<VersionName>;
        update_access(UpdateAccess) -> Option<VersionName>;
        create_upload(CreateUpload) -> UploadInfo;
        put_part(PutPart) -> PartCommitted;
        copy_part(CopyPart) -> PartCommitted;
        complete_upload(CompleteUpload) -> Committed;
        abort_upload(AbortUpload) -> ();
    }
}
