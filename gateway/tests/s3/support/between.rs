//! A layer between a gateway and its metanode. In it tests delay or refuse calls, lose answers, and run code before a call
//! reaches the metanode.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cairn_protocol::metadata::*;
use futures_util::future::BoxFuture;

/// The fate of a call and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The call and its answer arrive.
    Arrives,
    /// The metanode makes the change, but its answer is lost. The caller gets `Unavailable`.
    Lost,
    /// The call does not reach the metanode. The caller gets this error.
    Refused(MetadataError),
}

/// A function that runs before each call. It gets the call's name and decides its fate.
type Hook = Box<dyn Fn(&'static str) -> BoxFuture<'static, Fate> + Send + Sync>;

/// The layer. All calls and answers arrive until a test sets a hook. Clones share the hook and the counts.
#[derive(Clone, Default)]
pub(crate) struct Between {
    hook: Arc<Mutex<Option<Arc<Hook>>>>,
    calls: Arc<Mutex<Vec<&'static str>>>,
}

impl Between {
    /// Runs `hook` before each call from now on.
    pub(crate) fn set<F>(&self, hook: impl Fn(&'static str) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Fate> + Send + 'static,
    {
        let hook: Hook = Box::new(move |operation| Box::pin(hook(operation)));
        *self.hook.lock().unwrap() = Some(Arc::new(hook));
    }

    /// Loses the answers to the next `times` calls of this operation.
    pub(crate) fn lose(&self, wanted: &'static str, times: usize) {
        let left = Arc::new(Mutex::new(times));
        self.set(move |operation| {
            let mut left = left.lock().unwrap();
            let loses = operation == wanted && *left > 0;
            *left -= usize::from(loses);
            std::future::ready(if loses { Fate::Lost } else { Fate::Arrives })
        });
    }

    /// How often an operation was called.
    pub(crate) fn count(&self, wanted: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|operation| **operation == wanted).count()
    }

    /// All calls so far, in order. They are counted anew from here.
    pub(crate) fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// Wraps a metanode's client in this layer.
    pub(crate) fn around(&self, metadata: Arc<dyn Metadata>) -> Arc<dyn Metadata> {
        Arc::new(Around { between: self.clone(), metadata })
    }

    async fn meet(&self, operation: &'static str) -> Fate {
        self.calls.lock().unwrap().push(operation);
        let hook = self.hook.lock().unwrap().clone();
        match hook {
            Some(hook) => hook(operation).await,
            None => Fate::Arrives,
        }
    }
}

struct Around {
    between: Between,
    metadata: Arc<dyn Metadata>,
}

macro_rules! around {
    ($( $operation:ident($request:ty) -> $reply:ty; )+) => {
        #[async_trait]
        impl Metadata for Around {
            $( async fn $operation(&self, request: $request) -> Result<$reply, MetadataError> {
                let fate = self.between.meet(stringify!($operation)).await;
                if let Fate::Refused(error) = fate {
                    return Err(error);
                }
                let answer = self.metadata.$operation(request).await;
                match fate {
                    Fate::Lost => Err(MetadataError::Unavailable { reason: "the answer was lost".to_owned() }),
                    _ => answer,
                }
            } )+
        }
    };
}

around! {
    create_bucket(CreateBucket) -> BucketInfo;
    get_bucket(BucketRef) -> BucketInfo;
    list_buckets(ListBuckets) -> BucketPage;
    delete_bucket(DeleteBucket) -> ();
    set_versioning(SetVersioning) -> ();
    set_bucket_lock(SetBucketLock) -> ();
    get_bucket_configurations(BucketRef) -> BucketConfigurations;
    put_bucket_configuration(PutBucketConfiguration) -> u64;
    get_account_configuration(AccountConfigurationRef) -> Option<String>;
    put_account_configuration(PutAccountConfiguration) -> ();
    lookup_object(LookupObject) -> LocatedObject;
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
