//! The operations of the service, one line each. Each is implemented in a file of its own.

use async_trait::async_trait;
use cairn_protocol::id::MutationId;
use cairn_protocol::metadata::{
    AbortUpload, AccessEpoch, AccessKey, AccessKeyRef, AccountConfigurationRef, AllocateBlocks,
    BlockLocation, BucketConfigurations, BucketInfo, BucketPage, BucketRef, CommitObject, Committed,
    CompleteUpload, CopyObject, CopyPart, CreateBucket, CreateUpload, DeleteBucket, DeleteObjects, Deleted,
    ExtentPage, FindPrincipals, FoundPrincipal, FoundRole, Grant, ListBuckets, ListExtents, ListObjectParts,
    ListObjects, ListParts, ListUploads, ListVersions, LocateBlocks, LocatedObject, LookupObject, Metadata,
    MetadataError, ObjectPage, ObjectPartPage, PartCommitted, PartPage, PutAccountConfiguration,
    PutBucketConfiguration, PutObjectLock, PutPart, ReleaseGrants, RenameObject, RenameRef, Renamed,
    RenewGrants, RenewReads, ReplicaReport, RoleRef, RootCredentials, RootCredentialsRequest, SetBucketLock,
    SetVersioning, StorageClassRef, UpdateAccess, UpdateTags, UploadInfo, UploadPage, UploadRef, VersionName,
    VersionPage,
};
use cairn_protocol::rpc::current_access_epoch;
use serde::de::DeserializeOwned;

use super::Namespace;
use crate::store;

type Answer<T> = Result<T, MetadataError>;

impl Namespace {
    /// Refuses a call that was authorised in another epoch of access control: access may have been taken away since. Calls of
    /// workers, and for what the gateway itself needs, carry no epoch.
    fn check_access(&self) -> Answer<()> {
        let epoch = self.access.current();
        match current_access_epoch() {
            Some(theirs) if AccessEpoch(theirs) != epoch => Err(MetadataError::AccessChanged { epoch }),
            Some(_) | None => Ok(()),
        }
    }

    /// Admits a change, or returns its first outcome. A change that was done already, and whose answer was lost, may itself have
    /// begun the epoch that the call is too old for; or its caller may have lost the access since with which it was done.
    async fn first_outcome<T: DeserializeOwned>(&self, mutation: Option<MutationId>) -> Answer<Option<T>> {
        match self.check_access() {
            Ok(()) => Ok(None),
            Err(refused) => {
                let mut reader = self.store.read().await?;
                store::mutations::find(&mut reader, mutation)
                    .await?
                    .map_or(Err(refused), |first| Ok(Some(first)))
            }
        }
    }
}

/// Returns the first outcome of a change, if it was refused otherwise.
macro_rules! first_outcome {
    ($namespace:ident, $request:ident) => {
        if let Some(first) = $namespace.first_outcome($request.mutation).await? {
            return Ok(first);
        }
    };
}

#[async_trait]
impl Metadata for Namespace {
    async fn create_bucket(&self, request: CreateBucket) -> Answer<BucketInfo> {
        first_outcome!(self, request);
        self.create_bucket(request).await
    }
    async fn get_bucket(&self, request: BucketRef) -> Answer<BucketInfo> {
        self.check_access()?;
        self.get_bucket(request).await
    }
    async fn list_buckets(&self, request: ListBuckets) -> Answer<BucketPage> {
        self.check_access()?;
        self.list_buckets(request).await
    }
    async fn set_versioning(&self, request: SetVersioning) -> Answer<()> {
        first_outcome!(self, request);
        self.set_versioning(request).await
    }
    async fn set_bucket_lock(&self, request: SetBucketLock) -> Answer<()> {
        first_outcome!(self, request);
        self.set_bucket_lock(request).await
    }
    async fn delete_bucket(&self, request: DeleteBucket) -> Answer<()> {
        first_outcome!(self, request);
        self.delete_bucket(request).await
    }

    async fn get_bucket_configurations(&self, request: BucketRef) -> Answer<BucketConfigurations> {
        self.check_access()?;
        self.get_bucket_configurations(request).await
    }
    async fn put_bucket_configuration(&self, request: PutBucketConfiguration) -> Answer<u64> {
        first_outcome!(self, request);
        self.put_bucket_configuration(request).await
    }

    async fn get_account_configuration(&self, request: AccountConfigurationRef) -> Answer<Option<String>> {
        self.check_access()?;
        self.get_account_configuration(request).await
    }
    async fn put_account_configuration(&self, request: PutAccountConfiguration) -> Answer<()> {
        first_outcome!(self, request);
        self.put_account_configuration(request).await
    }

    async fn lookup_object(&self, request: LookupObject) -> Answer<LocatedObject> {
        self.check_access()?;
        self.lookup_object(request).await
    }
    async fn list_extents(&self, request: ListExtents) -> Answer<ExtentPage> {
        self.check_access()?;
        self.list_extents(request).await
    }
    async fn renew_reads(&self, request: RenewReads) -> Answer<()> {
        self.renew_reads(request).await
    }
    async fn locate_blocks(&self, request: LocateBlocks) -> Answer<Vec<BlockLocation>> {
        self.check_access()?;
        self.locate_blocks(request).await
    }
    async fn list_object_parts(&self, request: ListObjectParts) -> Answer<ObjectPartPage> {
        self.check_access()?;
        self.list_object_parts(request).await
    }
    async fn commit_object(&self, request: CommitObject) -> Answer<Committed> {
        self.check_access()?;
        self.commit_object(request).await
    }
    async fn copy_object(&self, request: CopyObject) -> Answer<Committed> {
        self.check_access()?;
        self.copy_object(request).await
    }
    async fn rename_object(&self, request: RenameObject) -> Answer<Renamed> {
        first_outcome!(self, request);
        self.rename_object(request).await
    }
    async fn find_rename(&self, request: RenameRef) -> Answer<Option<Renamed>> {
        self.check_access()?;
        self.find_rename(request).await
    }
    async fn delete_objects(&self, request: DeleteObjects) -> Answer<Vec<Answer<Deleted>>> {
        self.check_access()?;
        self.delete_objects(request).await
    }
    async fn update_tags(&self, request: UpdateTags) -> Answer<Option<VersionName>> {
        first_outcome!(self, request);
        self.update_tags(request).await
    }
    async fn put_object_lock(&self, request: PutObjectLock) -> Answer<Option<VersionName>> {
        first_outcome!(self, request);
        self.put_object_lock(request).await
    }
    async fn update_access(&self, request: UpdateAccess) -> Answer<Option<VersionName>> {
        first_outcome!(self, request);
        self.update_access(request).await
    }
    async fn list_objects(&self, request: ListObjects) -> Answer<ObjectPage> {
        self.check_access()?;
        self.list_objects(request).await
    }
    async fn list_versions(&self, request: ListVersions) -> Answer<VersionPage> {
        self.check_access()?;
        self.list_versions(request).await
    }

    async fn create_upload(&self, request: CreateUpload) -> Answer<UploadInfo> {
        self.check_access()?;
        self.create_upload(request).await
    }
    async fn get_upload(&self, request: UploadRef) -> Answer<UploadInfo> {
        self.check_access()?;
        self.get_upload(request).await
    }
    async fn put_part(&self, request: PutPart) -> Answer<PartCommitted> {
        self.check_access()?;
        self.put_part(request).await
    }
    async fn copy_part(&self, request: CopyPart) -> Answer<PartCommitted> {
        self.check_access()?;
        self.copy_part(request).await
    }
    async fn list_parts(&self, request: ListParts) -> Answer<PartPage> {
        self.check_access()?;
        self.list_parts(request).await
    }
    async fn list_uploads(&self, request: ListUploads) -> Answer<UploadPage> {
        self.check_access()?;
        self.list_uploads(request).await
    }
    async fn complete_upload(&self, request: CompleteUpload) -> Answer<Committed> {
        self.check_access()?;
        self.complete_upload(request).await
    }
    async fn abort_upload(&self, request: AbortUpload) -> Answer<()> {
        first_outcome!(self, request);
        self.abort_upload(request).await
    }

    async fn check_storage_class(&self, request: StorageClassRef) -> Answer<()> {
        self.check_access()?;
        self.blocks.check_storage_class(request.storage_class)
    }
    async fn allocate_blocks(&self, request: AllocateBlocks) -> Answer<Vec<Grant>> {
        self.blocks.allocate(request).await
    }
    async fn renew_grants(&self, request: RenewGrants) -> Answer<Vec<Grant>> {
        self.blocks.renew(request).await
    }
    async fn release_grants(&self, request: ReleaseGrants) -> Answer<()> {
        self.blocks.release(request).await
    }
    async fn report_replica(&self, request: ReplicaReport) -> Answer<()> {
        self.blocks.report_replica(request).await
    }

    async fn find_access_key(&self, request: AccessKeyRef) -> Answer<Option<AccessKey>> {
        self.identities.find_access_key(&request).await
    }
    async fn find_role(&self, request: RoleRef) -> Answer<Option<FoundRole>> {
        Ok(self.identities.find_role(&request).await?)
    }
    async fn find_principals(&self, request: FindPrincipals) -> Answer<Vec<FoundPrincipal>> {
        self.check_access()?;
        self.find_principals(request).await
    }
    async fn root_credentials(&self, _request: RootCredentialsRequest) -> Answer<RootCredentials> {
        Ok(self.identities.root().clone())
    }
}
