//! What gateways ask of the metanode: buckets, objects, uploads and grants.
//!
//! Keys are Unicode strings that compare by the bytes of their UTF-8. S3's rules (names, limits,
//! ETags, part sizes) are the gateway's; what must be atomic across gateways is decided here.
//!
//! Every change can be repeated when its answer was lost: it carries an id of the gateway's choosing (of the
//! version, the upload, the part, or a [`MutationId`](crate::id::MutationId)), and a repetition under the same id gets the first
//! outcome, for longer than a gateway repeats. A change that was refused did nothing, and may be done by its repetition.

mod bucket;
mod error;
mod grant;
mod object;
mod upload;

pub use bucket::*;
pub use error::*;
pub use grant::*;
pub use object::*;
pub use upload::*;

use serde::{Deserialize, Serialize};

crate::rpc_service! {
    /// The namespace and the grants, as gateways see them.
    Metadata, metadata_router, "metadata", MetadataError {
        /// Makes a bucket. Fails with `BucketExists` if the name is taken.
        create_bucket(CreateBucket) -> BucketInfo;
        /// What is known of a bucket.
        get_bucket(BucketRef) -> BucketInfo;
        /// Buckets in the order of their names.
        list_buckets(ListBuckets) -> BucketPage;
        /// Deletes a bucket without current objects. Uploads in progress do not keep it: they are aborted.
        delete_bucket(DeleteBucket) -> ();

        /// The current version of an object, and where the bytes of a range of it are.
        lookup_object(LookupObject) -> LocatedObject;
        /// Further extents of a version, for objects whose extents do not fit one answer.
        /// Works for a version that was retired less than the grace period ago.
        list_extents(ListExtents) -> ExtentPage;
        /// These versions are still being read: one that was replaced or deleted stays readable for another
        /// grace period from now. Versions that are current, or gone already, are passed over.
        renew_reads(RenewReads) -> ();
        /// Where blocks are now.
        locate_blocks(LocateBlocks) -> Vec<BlockLocation>;
        /// The parts that a multipart object was completed from.
        list_object_parts(ListObjectParts) -> ObjectPartPage;
        /// Makes a version current, if its condition holds. Idempotent by version id.
        commit_object(CommitObject) -> Committed;
        /// A new version with the bytes of another one: extents are shared, nothing is copied. Idempotent by
        /// version id.
        copy_object(CopyObject) -> Committed;
        /// Deletes objects, each for itself; the answers are in the order of the request.
        delete_objects(DeleteObjects) -> Vec<Result<Deleted, MetadataError>>;
        /// Replaces the tags of the current version.
        update_tags(UpdateTags) -> ();
        /// Current objects in the order of their keys, rolled up at a delimiter. Costs what it returns.
        list_objects(ListObjects) -> ObjectPage;

        /// Begins a multipart upload.
        create_upload(CreateUpload) -> UploadInfo;
        /// What is known of an upload in progress.
        get_upload(UploadRef) -> UploadInfo;
        /// Adds a part, or replaces the part of that number. Idempotent by part id.
        put_part(PutPart) -> PartCommitted;
        /// Adds a part with a range of an object's bytes: extents are shared, nothing is copied. Idempotent by
        /// part id.
        copy_part(CopyPart) -> PartCommitted;
        /// Parts in the order of their numbers.
        list_parts(ListParts) -> PartPage;
        /// Uploads in progress in the order of key, then time of initiation.
        list_uploads(ListUploads) -> UploadPage;
        /// Joins parts to an object, if they are still the ones named and the condition holds.
        /// Idempotent by version id. Moves no data.
        complete_upload(CompleteUpload) -> Committed;
        /// Gives up an upload and its parts.
        abort_upload(AbortUpload) -> ();

        /// Whether a storage class that is none of S3's own is configured. Fails with
        /// `UnknownStorageClass` if not.
        check_storage_class(StorageClassRef) -> ();

        /// Grants for new blocks: targets, size and lease.
        allocate_blocks(AllocateBlocks) -> Vec<Grant>;
        /// Extends the leases of grants whose blocks are not committed yet; the answer replaces them.
        renew_grants(RenewGrants) -> Vec<Grant>;
        /// Gives back grants that will not be committed; whatever was stored under them is deleted.
        release_grants(ReleaseGrants) -> ();
        /// A replica could not be read, or was wrong.
        report_replica(ReplicaReport) -> ();

        /// The secret of an access key; `None` if there is no such key.
        find_access_key(AccessKeyRef) -> Option<AccessKeySecret>;
        /// The root credentials, made at the cluster's first start unless configured.
        root_credentials(RootCredentialsRequest) -> RootCredentials;
    }
}

/// Names a storage class.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StorageClassRef {
    /// Its name.
    pub storage_class: String,
}

/// Names an access key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyRef {
    /// Access key id.
    pub access_key: String,
}

/// The secret of an access key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeySecret {
    /// Secret access key.
    pub secret_key: String,
}

impl std::fmt::Debug for AccessKeySecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessKeySecret")
    }
}

/// Asks for the root credentials.
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
