//! The calls of gateways to the metanode: buckets, objects, uploads and grants.
//!
//! Keys are Unicode strings that compare by the bytes of their UTF-8. S3's rules (names, limits,
//! ETags, part sizes) are the gateway's; decisions that must be atomic across gateways are made here.
//!
//! Every change can be repeated when its answer was lost. It carries an id that the gateway chose (of the version, the upload,
//! the part, or a [`MutationId`](crate::id::MutationId)), and a repetition with the same id gets the first outcome, for longer
//! than a gateway repeats. A refused change has no effect, and its repetition may succeed.

mod access;
mod bucket;
mod configuration;
mod content;
mod error;
mod grant;
mod lock;
mod object;
mod quota;
mod rename;
mod upload;
mod version;

pub use access::*;
pub use bucket::*;
pub use configuration::*;
pub use content::*;
pub use error::*;
pub use grant::*;
pub use lock::*;
pub use object::*;
pub use quota::*;
pub use rename::*;
pub use upload::*;
pub use version::*;

use serde::{Deserialize, Serialize};

crate::rpc_service! {
    /// The namespace and the grants, as gateways see them.
    Metadata, metadata_router, "metadata", MetadataError {
        /// Creates a bucket. Fails with `BucketExists` if the name is taken.
        create_bucket(CreateBucket) -> BucketInfo;
        /// The properties of a bucket.
        get_bucket(BucketRef) -> BucketInfo;
        /// Buckets in the order of their names.
        list_buckets(ListBuckets) -> BucketPage;
        /// Enables or suspends the versioning of a bucket. It cannot be turned off again.
        set_versioning(SetVersioning) -> ();
        /// Enables Object Lock for a bucket, and sets its default retention. Fails with `VersioningNotEnabled`.
        set_bucket_lock(SetBucketLock) -> ();
        /// Deletes a bucket without versions of objects. Uploads in progress are aborted.
        delete_bucket(DeleteBucket) -> ();
        /// A bucket, its owner and all its configurations.
        get_bucket_configurations(BucketRef) -> BucketConfigurations;
        /// Puts or deletes a configuration. The answer is its revision, or 0 when it was deleted.
        put_bucket_configuration(PutBucketConfiguration) -> u64;
        /// A configuration of an account, which holds for all of its buckets; `None` if there is none.
        get_account_configuration(AccountConfigurationRef) -> Option<String>;
        /// Puts or deletes a configuration of an account.
        put_account_configuration(PutAccountConfiguration) -> ();

        /// A version of an object, and the extents of a range of it.
        lookup_object(LookupObject) -> LocatedObject;
        /// Further extents of a version, for objects whose extents do not fit one answer.
        /// Works for a version that was retired less than the grace period ago.
        list_extents(ListExtents) -> ExtentPage;
        /// Keeps versions that are being read: one that was replaced or deleted stays readable for another grace period from
        /// now. Versions that are current, or do not exist any more, are ignored.
        renew_reads(RenewReads) -> ();
        /// The present replicas of blocks.
        locate_blocks(LocateBlocks) -> Vec<BlockLocation>;
        /// The parts that a multipart object was completed from.
        list_object_parts(ListObjectParts) -> ObjectPartPage;
        /// Makes a version current, if its condition holds. Idempotent by version id.
        commit_object(CommitObject) -> Committed;
        /// Makes a new version with the bytes of another one. They share blocks, so no bytes are copied. Idempotent by version
        /// id.
        copy_object(CopyObject) -> Committed;
        /// Renames an object within its bucket, in one step for every reader. Fails with `ObjectChanged` if the gateway decided on
        /// objects that are not current any more.
        rename_object(RenameObject) -> Renamed;
        /// The outcome of a rename, if it is done and still remembered.
        find_rename(RenameRef) -> Option<Renamed>;
        /// Deletes objects independently of each other. The answers are in the order of the request.
        delete_objects(DeleteObjects) -> Vec<Result<Deleted, MetadataError>>;
        /// Replaces the tags of a version. Returns the version id to show to clients.
        update_tags(UpdateTags) -> Option<VersionName>;
        /// Changes the lock of a version. Returns the version id to show to clients.
        put_object_lock(PutObjectLock) -> Option<VersionName>;
        /// Replaces owner and ACL of a version. Returns the version id to show to clients.
        update_access(UpdateAccess) -> Option<VersionName>;
        /// Current objects in the order of their keys, rolled up at a delimiter. The cost depends on the length of the page.
        list_objects(ListObjects) -> ObjectPage;
        /// All versions and delete markers in the order of their keys, and of one key from the newest on, rolled up at a
        /// delimiter. The cost depends on the length of the page.
        list_versions(ListVersions) -> VersionPage;

        /// Begins a multipart upload.
        create_upload(CreateUpload) -> UploadInfo;
        /// The properties of an upload in progress.
        get_upload(UploadRef) -> UploadInfo;
        /// Adds a part, or replaces the part of that number. Idempotent by part id.
        put_part(PutPart) -> PartCommitted;
        /// Adds a part with a range of an object's bytes. They share blocks, so no bytes are copied. Idempotent by part id.
        copy_part(CopyPart) -> PartCommitted;
        /// Parts in the order of their numbers.
        list_parts(ListParts) -> PartPage;
        /// Uploads in progress in the order of key, then time of initiation.
        list_uploads(ListUploads) -> UploadPage;
        /// Joins parts to an object, if they are still the ones named and the condition holds.
        /// Idempotent by version id. Moves no data.
        complete_upload(CompleteUpload) -> Committed;
        /// Aborts an upload and retires its parts.
        abort_upload(AbortUpload) -> ();

        /// Checks that a storage class that is not one of S3's is configured. Fails with `UnknownStorageClass` otherwise.
        check_storage_class(StorageClassRef) -> ();

        /// Grants for new blocks: targets, size and lease.
        allocate_blocks(AllocateBlocks) -> Vec<Grant>;
        /// Extends the leases of grants whose blocks are not committed yet; the answer replaces them.
        renew_grants(RenewGrants) -> Vec<Grant>;
        /// Releases grants that will not be committed. Blocks that were stored under them are deleted.
        release_grants(ReleaseGrants) -> ();
        /// Reports a replica that could not be read, or had wrong bytes.
        report_replica(ReplicaReport) -> ();

        /// An access key that may be used; `None` if there is no such key, it is disabled, or the session token is not the key's.
        /// Fails with `ExpiredToken` when the session has ended.
        find_access_key(AccessKeyRef) -> Option<AccessKey>;
        /// A role and what it may do; `None` if there is no such role.
        find_role(RoleRef) -> Option<FoundRole>;
        /// Those of some principals that exist.
        find_principals(FindPrincipals) -> Vec<FoundPrincipal>;
        /// The root credentials, which are generated at the cluster's first start unless they are configured.
        root_credentials(RootCredentialsRequest) -> RootCredentials;
    }
}

/// Names a storage class.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StorageClassRef {
    /// Its name.
    pub storage_class: String,
}

/// Requests the root credentials.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RootCredentialsRequest {}

/// The credentials that allow every operation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootCredentials {
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
}

impl std::fmt::Debug for RootCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RootCredentials({})", self.access_key)
    }
}
