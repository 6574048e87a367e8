//! After any sequence of gateways' operations, the namespace equals a simple model, every byte is where it was stored,
//! and no reference is lost or counted twice.

use std::collections::BTreeMap;

use cairn_protocol::id::{BlockId, PartId, VersionId};
use cairn_protocol::metadata::*;
use proptest::prelude::*;

use crate::cluster::{Cluster, bytes, new_bytes, reference};

/// Few keys, so that operations meet on the same ones.
const KEYS: [&str; 3] = ["a", "b/1", "b/2"];

#[derive(Clone, Debug)]
enum Step {
    Put {
        key: usize,
        lengths: Vec<u64>,
        condition: Condition,
    },
    Copy {
        from: usize,
        to: usize,
        condition: Condition,
    },
    Rename {
        from: usize,
        to: usize,
        condition: Condition,
    },
    Delete {
        key: usize,
        condition: Condition,
    },
    Begin {
        key: usize,
    },
    PutPart {
        upload: usize,
        number: u32,
        lengths: Vec<u64>,
    },
    CopyPart {
        upload: usize,
        number: u32,
        from: usize,
        start: u64,
        end: u64,
    },
    /// Completes without the part whose index is `skip`.
    Complete {
        upload: usize,
        skip: usize,
        condition: Condition,
    },
    Abort {
        upload: usize,
    },
    /// Repeats the last write, as if its reply was lost.
    Repeat,
}

#[derive(Clone, Copy, Debug)]
enum Condition {
    None,
    Absent,
    Present,
    /// The ETag of the current object of this key.
    EtagOf(usize),
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        4 => Just(Condition::None),
        1 => Just(Condition::Absent),
        1 => Just(Condition::Present),
        1 => (0..KEYS.len()).prop_map(Condition::EtagOf),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..KEYS.len();
    let lengths = || proptest::collection::vec(1u64..6, 0..4);
    prop_oneof![
        4 => (key(), lengths(), condition()).prop_map(|(key, lengths, condition)| Step::Put { key, lengths, condition }),
        3 => (key(), key(), condition()).prop_map(|(from, to, condition)| Step::Copy { from, to, condition }),
        3 => (key(), key(), condition()).prop_map(|(from, to, condition)| Step::Rename { from, to, condition }),
        2 => (key(), condition()).prop_map(|(key, condition)| Step::Delete { key, condition }),
        2 => key().prop_map(|key| Step::Begin { key }),
        4 => (0usize..3, 1u32..4, lengths())
            .prop_map(|(upload, number, lengths)| Step::PutPart { upload, number, lengths }),
        4 => (0usize..3, 1u32..4, key(), 0u64..12, 0u64..12)
            .prop_map(|(upload, number, from, start, end)| Step::CopyPart { upload, number, from, start, end }),
        3 => (0usize..3, 0usize..4, condition())
            .prop_map(|(upload, skip, condition)| Step::Complete { upload, skip, condition }),
        1 => (0usize..3).prop_map(|upload| Step::Abort { upload }),
        2 => Just(Step::Repeat),
    ]
}

type Bytes = Vec<(BlockId, u64)>;

#[derive(Clone, Debug)]
struct Object {
    version: VersionId,
    etag: String,
    bytes: Bytes,
}

#[derive(Clone, Debug)]
struct Upload {
    target: UploadRef,
    parts: BTreeMap<u32, (PartId, Bytes)>,
}

#[derive(Clone, Debug)]
enum Write {
    Commit(CommitObject),
    Copy(CopyObject),
    Rename(RenameObject),
    Complete(CompleteUpload),
    Part(PutPart),
}

#[derive(Debug, Default)]
struct Model {
    objects: BTreeMap<usize, Object>,
    uploads: Vec<Upload>,
    /// The number of versions that were ever current.
    versions: usize,
    /// The bytes of the extent lists of all versions that were ever current. They can be read until they are swept.
    lists: BTreeMap<ListId, Vec<(BlockId, u64)>>,
    last: Option<Write>,
}

impl Model {
    fn resolve(&self, condition: Condition) -> WriteCondition {
        match condition {
            Condition::None => WriteCondition::None,
            Condition::Absent => WriteCondition::Absent,
            Condition::Present => WriteCondition::Present,
            Condition::EtagOf(key) => {
                WriteCondition::Etag(self.objects.get(&key).map_or("none", |object| &object.etag).to_owned())
            }
        }
    }

    /// S3's rules of conditional writes.
    fn check(&self, key: usize, condition: &WriteCondition) -> Result<(), MetadataError> {
        let etag = self.objects.get(&key).map(|object| object.etag.as_str());
        let holds = match condition {
            WriteCondition::None => true,
            WriteCondition::Absent => etag.is_none(),
            WriteCondition::Present => etag.is_some(),
            WriteCondition::Etag(wanted) => etag == Some(wanted.as_str()),
        };
        if holds {
            return Ok(());
        }
        let on_nothing = etag.is_none() && *condition != WriteCondition::Absent;
        Err(if on_nothing { MetadataError::ConditionOnMissingKey } else { MetadataError::PreconditionFailed })
    }

    fn set(&mut self, key: usize, object: Object) {
        self.versions += 1;
        self.objects.insert(key, object);
    }

    async fn apply(&mut self, cluster: &Cluster, step: Step) {
        match step {
            Step::Put { key, lengths, condition } => self.put(cluster, key, &lengths, condition).await,
            Step::Copy { from, to, condition } => self.copy(cluster, from, to, condition).await,
            Step::Rename { from, to, condition } => self.rename(cluster, from, to, condition).await,
            Step::Delete { key, condition } => self.delete(cluster, key, condition).await,
            Step::Begin { key } => {
                let target = cluster.begin("b", KEYS[key]).await;
                self.uploads.push(Upload { target, parts: BTreeMap::new() });
            }
            Step::PutPart { upload, number, lengths } => {
                self.put_part(cluster, upload, number, &lengths).await
            }
            Step::CopyPart { upload, number, from, start, end } => {
                self.copy_part(cluster, upload, number, from, start, end).await;
            }
            Step::Complete { upload, skip, condition } => {
                self.complete(cluster, upload, skip, condition).await
            }
            Step::Abort { upload } => {
                if upload < self.uploads.len() {
                    let upload = self.uploads.remove(upload);
                    cluster.abort(&upload.target).await.unwrap();
                }
            }
            Step::Repeat => self.repeat(cluster).await,
        }
    }

    async fn put(&mut self, cluster: &Cluster, key: usize, lengths: &[u64], condition: Condition) {
        let etag = format!("etag {}", self.versions % 3);
        let request = CommitObject {
            condition: self.resolve(condition),
            ..cluster.object("b", KEYS[key], &etag, lengths)
        };
        let wanted = self.check(key, &request.condition);
        let answer = cluster.commit_object(request.clone()).await;
        assert_eq!(answer.map(|_| ()), wanted);
        if wanted.is_ok() {
            let bytes = new_bytes(&request.extents);
            self.set(key, Object { version: request.version, etag, bytes });
            self.last = Some(Write::Commit(request));
        }
    }

    async fn copy(&mut self, cluster: &Cluster, from: usize, to: usize, condition: Condition) {
        let source = self.objects.get(&from).cloned();
        let request = CopyObject {
            source: reference(
                "b",
                KEYS[from],
                source.as_ref().map_or_else(|| cluster.version(), |source| source.version),
            ),
            bucket: "b".into(),
            key: KEYS[to].into(),
            version: cluster.version(),
            etag: "copy".into(),
            attributes: None,
            tags: None,
            condition: self.resolve(condition),
        };
        let wanted = match &source {
            None => Err(MetadataError::NoSuchVersion),
            Some(_) => self.check(to, &request.condition),
        };
        let answer = cluster.copy_object(request.clone()).await;
        assert_eq!(answer.map(|_| ()), wanted);
        if let (Ok(()), Some(source)) = (wanted, source) {
            self.set(to, Object { version: request.version, etag: "copy".into(), bytes: source.bytes });
            self.last = Some(Write::Copy(request));
        }
    }

    /// As a gateway does it: the condition is checked on what is there, and the rename expects that.
    async fn rename(&mut self, cluster: &Cluster, from: usize, to: usize, condition: Condition) {
        let there = self.objects.get(&to).map(|object| object.version);
        if self.check(to, &self.resolve(condition)).is_err() {
            return;
        }
        let source = self.objects.get(&from).cloned();
        let request = RenameObject {
            bucket: "b".into(),
            source: KEYS[from].into(),
            source_version: source.as_ref().map_or_else(|| cluster.version(), |source| source.version),
            key: KEYS[to].into(),
            destination: match condition {
                Condition::None => ExpectedObject::Any,
                _ => there.map_or(ExpectedObject::Absent, ExpectedObject::Version),
            },
            version: cluster.version(),
            marker: cluster.version(),
            parameters: String::new(),
            mutation: cluster.mutation(),
        };
        let answer = cluster.rename_object(request.clone()).await;
        let Some(source) = source else {
            assert_eq!(answer, Err(MetadataError::NoSuchKey));
            return;
        };
        assert_eq!(answer.map(|renamed| renamed.name), Ok(None));
        if from != to {
            self.objects.remove(&from);
            self.set(to, Object { version: request.version, ..source });
        }
        self.last = Some(Write::Rename(request));
    }

    async fn delete(&mut self, cluster: &Cluster, key: usize, condition: Condition) {
        let condition = self.resolve(condition);
        let wanted = self
            .check(key, &condition)
            .map(|()| Deleted { version: self.objects.get(&key).map(|object| object.version), marker: None });
        assert_eq!(cluster.delete("b", KEYS[key], condition).await, wanted);
        if wanted.is_ok() {
            self.objects.remove(&key);
        }
    }

    async fn put_part(&mut self, cluster: &Cluster, upload: usize, number: u32, lengths: &[u64]) {
        let place = upload % self.uploads.len().max(1);
        let Some(upload) = self.uploads.get_mut(place) else { return };
        let request = cluster.new_part(&upload.target, number, lengths);
        cluster.put_part(request.clone()).await.unwrap();
        upload.parts.insert(number, (request.part, new_bytes(&request.extents)));
        self.last = Some(Write::Part(request));
    }

    async fn copy_part(
        &mut self,
        cluster: &Cluster,
        upload: usize,
        number: u32,
        from: usize,
        start: u64,
        end: u64,
    ) {
        let place = upload % self.uploads.len().max(1);
        let Some(upload) = self.uploads.get_mut(place) else { return };
        let Some(source) = self.objects.get(&from) else { return };
        // Mostly ranges that exist, some that do not.
        let (start, end) = (start % (source.bytes.len() as u64 + 1), end % (source.bytes.len() as u64 + 2));
        let request = CopyPart {
            target: upload.target.clone(),
            number,
            part: cluster.part(),
            source: reference("b", KEYS[from], source.version),
            start,
            end,
            etag: "e".into(),
            checksum: None,
        };
        let part = request.part;
        let answer = cluster.copy_part(request).await.map(|_| ());
        if start > end || end > source.bytes.len() as u64 {
            let length = source.bytes.len() as u64;
            assert_eq!(answer, Err(MetadataError::InvalidSourceRange { length }));
        } else {
            assert_eq!(answer, Ok(()));
            let bytes = source.bytes[start as usize..end as usize].to_vec();
            upload.parts.insert(number, (part, bytes));
        }
    }

    async fn complete(&mut self, cluster: &Cluster, place: usize, skip: usize, condition: Condition) {
        let condition = self.resolve(condition);
        let place = place % self.uploads.len().max(1);
        let Some(upload) = self.uploads.get(place).cloned() else { return };
        let named: Vec<_> = upload
            .parts
            .iter()
            .enumerate()
            .filter(|(place, _)| *place != skip)
            .map(|(_, (number, part))| (*number, part.clone()))
            .collect();
        if named.is_empty() {
            return;
        }
        let parts: Vec<_> = named.iter().map(|(number, (part, _))| (*number, *part)).collect();
        let request = CompleteUpload { condition, ..cluster.completion(&upload.target, &parts) };
        let key = KEYS.iter().position(|key| *key == upload.target.key).unwrap();
        let wanted = self.check(key, &request.condition);
        let answer = cluster.complete_upload(request.clone()).await;
        assert_eq!(answer.map(|_| ()), wanted);
        if wanted.is_ok() {
            let bytes = named.into_iter().flat_map(|(_, (_, bytes))| bytes).collect();
            self.set(key, Object { version: request.version, etag: request.etag.clone(), bytes });
            self.uploads.remove(place);
            self.last = Some(Write::Complete(request));
        }
    }

    /// Repeats a write. It must return the first outcome and change nothing, so the model stays as it is.
    async fn repeat(&mut self, cluster: &Cluster) {
        match self.last.clone() {
            None => {}
            Some(Write::Commit(request)) => drop(cluster.commit_object(request).await.unwrap()),
            Some(Write::Copy(request)) => drop(cluster.copy_object(request).await.unwrap()),
            Some(Write::Rename(request)) => drop(cluster.rename_object(request).await.unwrap()),
            Some(Write::Complete(request)) => drop(cluster.complete_upload(request).await.unwrap()),
            // This also holds when its upload was completed or aborted since.
            Some(Write::Part(request)) => drop(cluster.put_part(request).await.unwrap()),
        }
    }

    /// Notes the extent lists of the current objects.
    async fn note_lists(&mut self, cluster: &Cluster) {
        for (key, object) in &self.objects {
            if let Some(list) = cluster.head("b", KEYS[*key]).await.unwrap().content.list() {
                let noted = self.lists.insert(list, object.bytes.clone());
                assert!(noted.is_none_or(|noted| noted == object.bytes), "a list never changes");
            }
        }
    }

    async fn compare(&self, cluster: &Cluster) {
        for (key, name) in KEYS.iter().enumerate() {
            let found = cluster.get("b", name, LookupRange::Whole).await;
            match self.objects.get(&key) {
                None => assert_eq!(found.err(), Some(MetadataError::NoSuchKey)),
                Some(object) => {
                    let found = found.unwrap();
                    assert_eq!((found.object.version, &found.object.etag), (object.version, &object.etag));
                    assert_eq!(bytes(&found.extents), object.bytes);
                }
            }
        }
        let request = ListObjects { bucket: "b".into(), max: 10, ..Default::default() };
        let listed: Vec<_> = cluster.list_objects(request).await.unwrap().entries;
        let listed: Vec<_> = listed
            .into_iter()
            .map(|entry| match entry {
                ListEntry::Object(object) => (object.key, object.etag, object.length),
                ListEntry::CommonPrefix(prefix) => panic!("{prefix}"),
            })
            .collect();
        let wanted: Vec<_> = self
            .objects
            .iter()
            .map(|(key, object)| (KEYS[*key].to_owned(), object.etag.clone(), object.bytes.len() as u64))
            .collect();
        assert_eq!(listed, wanted);
        // Also versions that were overwritten keep their bytes, for reads that began before.
        for (list, wanted) in &self.lists {
            let request = ListExtents { list: *list, start: 0, end: u64::MAX, max: 100 };
            let found = cluster.list_extents(request).await.unwrap();
            assert_eq!(bytes(&found.extents), *wanted);
        }
        cluster.verify().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]
    #[test]
    fn any_sequence_of_writes_matches_the_model(
        steps in proptest::collection::vec(step(), 1..50),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let cluster = Cluster::in_process().await;
            cluster.bucket("b").await;
            let mut model = Model::default();
            for step in steps {
                model.apply(&cluster, step).await;
                model.note_lists(&cluster).await;
                cluster.verify().await;
            }
            model.compare(&cluster).await;
        });
    }
}
