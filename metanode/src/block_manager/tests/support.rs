//! Objects, made through the namespace, on a test cluster.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;

use cairn_protocol::admin::FsckRequest;
use cairn_protocol::id::{BlockId, PartId, UploadId, VersionId};
use cairn_protocol::metadata::*;

use super::cluster::{BUCKET, TestCluster, allocation};
use crate::iam::Identities;
use crate::namespace::Namespace;

/// A cluster with a namespace on it.
pub(super) struct TestStore {
    pub(super) cluster: TestCluster,
    pub(super) namespace: Namespace,
    /// Bucket and key of each version.
    names: Mutex<HashMap<VersionId, (String, String)>>,
}

impl TestStore {
    /// A cluster of `nodes` nodes with a namespace.
    pub(super) async fn new(nodes: usize) -> Self {
        Self::over(TestCluster::new(nodes).await)
    }

    pub(super) fn over(cluster: TestCluster) -> Self {
        let identities = Identities::without_root(&cluster.store, &cluster.env);
        let (store, blocks) = (cluster.store.clone(), cluster.blocks.clone());
        let namespace =
            Namespace::new(store, blocks, cluster.env.clone(), cluster.events.clone(), identities);
        Self { cluster, namespace, names: Mutex::default() }
    }

    /// Kills the metanode, and starts it again on the same database.
    pub(super) async fn restart(&mut self) {
        self.cluster.restart().await;
        self.follow();
    }

    /// Stops the metanode, and starts it on saved files.
    pub(super) async fn put_back(&mut self, saved: &[(PathBuf, Vec<u8>)]) {
        self.cluster.put_back(saved).await;
        self.follow();
    }

    /// Connects the namespace to the metanode that runs now.
    fn follow(&mut self) {
        let TestCluster { store, blocks, env, events, .. } = &self.cluster;
        let identities = Identities::without_root(store, env);
        self.namespace =
            Namespace::new(store.clone(), blocks.clone(), env.clone(), events.clone(), identities);
    }

    pub(super) async fn make_bucket(&self, bucket: &str) {
        let (bucket, region) = (bucket.to_owned(), "us-east-1".to_owned());
        self.namespace.create_bucket(CreateBucket::new(bucket, region)).await.unwrap();
    }

    /// Blocks of these lengths, stored but not committed.
    pub(super) async fn store(
        &mut self,
        bucket: &str,
        class: Option<&str>,
        lengths: &[u64],
    ) -> Vec<NewExtent> {
        let mut extents = Vec::new();
        for length in lengths {
            let request = AllocateBlocks {
                expected_length: None,
                bucket: bucket.to_owned(),
                storage_class: class.map(str::to_owned),
                ..allocation(1)
            };
            let grant = self.cluster.blocks.allocate(request).await.unwrap().pop().unwrap();
            extents.push(self.cluster.store_block(grant, *length));
        }
        extents
    }

    /// An object of blocks of these lengths.
    pub(super) async fn put(
        &mut self,
        bucket: &str,
        key: &str,
        lengths: &[u64],
    ) -> (VersionId, Vec<BlockId>) {
        self.put_as(bucket, key, None, lengths).await
    }

    /// An object of this storage class.
    pub(super) async fn put_as(
        &mut self,
        bucket: &str,
        key: &str,
        class: Option<&str>,
        lengths: &[u64],
    ) -> (VersionId, Vec<BlockId>) {
        let extents = self.store(bucket, class, lengths).await;
        let blocks = extents.iter().map(|extent| extent.grant.block).collect();
        let version = VersionId(self.cluster.env.uuid_v7());
        let commit = CommitObject {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version,
            length: lengths.iter().sum(),
            etag: "etag".to_owned(),
            attributes: attributes(class),
            tags: Tags::new(),
            extents,
            condition: WriteCondition::None,
        };
        self.namespace.commit_object(commit).await.unwrap();
        self.named(version, bucket, key);
        (version, blocks)
    }

    pub(super) async fn copy(
        &self,
        source: VersionId,
        bucket: &str,
        key: &str,
        class: Option<&str>,
    ) -> VersionId {
        let version = VersionId(self.cluster.env.uuid_v7());
        let copy = CopyObject {
            source: self.reference(source),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version,
            etag: "etag".to_owned(),
            attributes: Some(attributes(class)),
            tags: None,
            condition: WriteCondition::None,
        };
        self.namespace.copy_object(copy).await.unwrap();
        self.named(version, bucket, key);
        version
    }

    /// Notes under which name a version was written.
    fn named(&self, version: VersionId, bucket: &str, key: &str) {
        self.names.lock().unwrap().insert(version, (bucket.to_owned(), key.to_owned()));
    }

    /// Names a version that is current or retired.
    pub(super) fn reference(&self, version: VersionId) -> VersionRef {
        let (bucket, key) = self.names.lock().unwrap()[&version].clone();
        VersionRef { bucket, key, sequence: None, version }
    }

    /// The name of the current version of a key of the first bucket.
    pub(super) async fn name(&self, key: &str) -> VersionName {
        self.head(key).await.name()
    }

    /// The extent list of the current version of a key of the first bucket.
    pub(super) async fn list(&self, key: &str) -> ListId {
        self.head(key).await.content.list().unwrap()
    }

    async fn head(&self, key: &str) -> ObjectVersion {
        let request = LookupObject {
            bucket: FIRST.to_owned(),
            key: key.to_owned(),
            version: None,
            range: LookupRange::Whole,
            extents_max: 0,
        };
        self.namespace.lookup_object(request).await.unwrap().object
    }

    pub(super) async fn delete(&self, bucket: &str, key: &str) {
        let object = DeleteObject {
            key: key.to_owned(),
            condition: WriteCondition::None,
            version: None,
            bypass_governance: false,
        };
        let request = DeleteObjects { bucket: bucket.to_owned(), objects: vec![object], mutation: None };
        self.namespace.delete_objects(request).await.unwrap();
    }

    pub(super) async fn begin(&self, bucket: &str, key: &str, class: Option<&str>) -> UploadRef {
        let target = UploadRef {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            upload: UploadId(self.cluster.env.uuid_v7()),
        };
        let attributes = attributes(class);
        let create = CreateUpload { target: target.clone(), attributes, tags: Tags::new(), checksum: None };
        self.namespace.create_upload(create).await.unwrap();
        target
    }

    pub(super) async fn put_part(
        &mut self,
        target: &UploadRef,
        number: u32,
        lengths: &[u64],
    ) -> (PartId, Vec<BlockId>) {
        let extents = self.store(&target.bucket.clone(), None, lengths).await;
        let blocks = extents.iter().map(|extent| extent.grant.block).collect();
        let part = PartId(self.cluster.env.uuid_v7());
        let put = PutPart {
            target: target.clone(),
            number,
            part,
            length: lengths.iter().sum(),
            etag: "etag".to_owned(),
            checksum: None,
            extents,
        };
        self.namespace.put_part(put).await.unwrap();
        (part, blocks)
    }

    pub(super) async fn copy_part(&self, target: &UploadRef, source: VersionId, start: u64, end: u64) {
        let copy = CopyPart {
            target: target.clone(),
            number: 1,
            part: PartId(self.cluster.env.uuid_v7()),
            source: self.reference(source),
            start,
            end,
            etag: "etag".to_owned(),
            checksum: None,
        };
        self.namespace.copy_part(copy).await.unwrap();
    }

    pub(super) async fn complete(&self, target: UploadRef, parts: Vec<(u32, PartId)>) -> VersionId {
        let version = VersionId(self.cluster.env.uuid_v7());
        let complete = CompleteUpload {
            target: target.clone(),
            parts,
            version,
            etag: "etag".to_owned(),
            checksum: None,
            request_digest: String::new(),
            condition: WriteCondition::None,
        };
        self.namespace.complete_upload(complete).await.unwrap();
        self.named(version, &target.bucket, &target.key);
        version
    }

    pub(super) async fn remove_bucket(&self, bucket: &str) {
        self.namespace
            .delete_bucket(DeleteBucket { bucket: bucket.to_owned(), mutation: None })
            .await
            .unwrap();
    }

    /// Runs any statement, to bring the database into a state that Cairn itself never makes.
    pub(super) async fn sql(&self, statement: &'static str) {
        crate::store::tests::execute(&self.cluster.store, statement).await;
        crate::store::tests::recount(&self.cluster.store).await;
    }
}

fn attributes(class: Option<&str>) -> ObjectAttributes {
    ObjectAttributes { storage_class: class.map(str::to_owned), ..ObjectAttributes::default() }
}

/// A request to check everything, or one bucket.
pub(super) fn check(bucket: Option<&str>) -> FsckRequest {
    FsckRequest { bucket: bucket.map(str::to_owned), ..FsckRequest::default() }
}

/// The bucket that exists from the start.
pub(super) const FIRST: &str = BUCKET;
