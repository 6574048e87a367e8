//! RenameObject: gives an object another key, in one step and without moving data.
//!
//! AWS has it for directory buckets; here every bucket has it.

use cairn_protocol::id::{MutationId, VersionId};
use cairn_protocol::metadata::{self, ExpectedObject, MetadataError, ObjectVersion, RenameRef, Renamed};
use http::StatusCode;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::identity::set_version;
use super::read::lookup;
use crate::access::{Authorised, Permission, Permissions};
use crate::caller::Action;
use crate::declaration::{Declaration, Member, Resource, Verb, When, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{BucketName, ObjectKey, ReadConditions, RenameSource, Verdict, parse_client_token};

/// How often a rename is decided anew because an object was replaced meanwhile. It fails only if that happens all the time.
const ATTEMPTS_MAX: u32 = 8;

/// `PUT /bucket/new-key?renameObject`.
#[derive(Debug)]
pub(crate) struct RenameObject {
    source: RenameSource,
    source_conditions: ReadConditions,
    conditions: ReadConditions,
    token: Option<String>,
}

impl Operation for RenameObject {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("renameObject")],
        members: &[&[
            Member::header("x-amz-rename-source"),
            Member::header("if-match"),
            Member::header("if-modified-since"),
            Member::header("if-none-match"),
            Member::header("if-unmodified-since"),
            Member::header("x-amz-rename-source-if-match"),
            Member::header("x-amz-rename-source-if-modified-since"),
            Member::header("x-amz-rename-source-if-none-match"),
            Member::header("x-amz-rename-source-if-unmodified-since"),
            Member::header("x-amz-client-token").partly("recognised for two minutes"),
            groups::OWNER.extra(),
        ]],
        note: "For every bucket; see docs/clients.md.",
        ..Declaration::new("RenameObject", Verb::Put, Resource::Object)
    };
    const ACTION: Action = Action("s3:PutObject");

    fn parse(request: &Request) -> S3Result<Self> {
        let source = RenameSource::parse(&request.headers, request.bucket()?)?;
        if source.key.as_str().ends_with('/') || request.key()?.as_str().ends_with('/') {
            // S3 User Guide, "Renaming objects in directory buckets".
            return Err(S3Error::invalid_request("Objects whose keys end with a slash are not renamed."));
        }
        Ok(Self {
            source,
            source_conditions: ReadConditions::parse_rename_source(&request.headers)?,
            conditions: ReadConditions::parse_rename_destination(&request.headers)?,
            token: parse_client_token(&request.headers)?,
        })
    }

    fn permissions(&self, request: &Request) -> Permissions {
        let on_target = Permissions::one(Permission::on_target("s3:PutObject", request));
        // A request for an object has a bucket.
        request.bucket().into_iter().fold(on_target, |needed, bucket| {
            on_source(bucket, &self.source.key).into_iter().fold(needed, Permissions::and)
        })
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        let rename = Rename::new(&self, gateway, &request)?;
        if let Some(first) = rename.first_outcome().await? {
            return rename.answer(first);
        }
        for _ in 0..ATTEMPTS_MAX {
            let source = rename.find_source().await?;
            let destination = rename.check_destination().await?;
            match rename.send(&source, destination).await {
                Err(MetadataError::ObjectChanged) => {}
                renamed => return rename.answer(renamed?),
            }
        }
        Err(MetadataError::ObjectChanged.into())
    }
}

/// What a rename does to its source: it is read, as by a copy, and deleted.
fn on_source(bucket: &BucketName, key: &ObjectKey) -> [Permission; 2] {
    ["s3:GetObject", "s3:DeleteObject"]
        .map(|action| Permission::on_object(action, bucket.as_str(), key.as_str(), None))
}

/// A rename under way.
struct Rename<'a> {
    operation: &'a RenameObject,
    gateway: &'a Authorised,
    request: &'a Request,
    bucket: &'a BucketName,
    key: &'a ObjectKey,
    mutation: Option<MutationId>,
    parameters: String,
}

impl<'a> Rename<'a> {
    fn new(operation: &'a RenameObject, gateway: &'a Authorised, request: &'a Request) -> S3Result<Self> {
        let (bucket, key) = (request.bucket()?, request.key()?);
        let RenameObject { source, source_conditions, conditions, token } = operation;
        let parameters = digest(&[
            source.key.as_str(),
            key.as_str(),
            &format!("{source_conditions:?}"),
            &format!("{conditions:?}"),
        ]);
        let mutation = match token {
            // Tokens of different callers and buckets have nothing to do with each other.
            Some(token) => {
                let caller = request.caller.holder().map(|holder| holder.arn()).unwrap_or_default();
                let id = digest(&["rename", &caller, bucket.as_str(), token]);
                let mut bytes = [0; 16];
                bytes.copy_from_slice(&id[..16]);
                Some(MutationId(Uuid::from_bytes(bytes)))
            }
            None => gateway.mutation(),
        };
        Ok(Self { operation, gateway, request, bucket, key, mutation, parameters: hex::encode(parameters) })
    }

    /// The outcome of the first request with this client token. It comes before the objects are looked at, because after a rename
    /// neither of its keys is as it was.
    async fn first_outcome(&self) -> S3Result<Option<Renamed>> {
        if self.operation.token.is_none() {
            return Ok(None);
        }
        Ok(self.gateway.metadata.find_rename(RenameRef { mutation: self.mutation }).await?)
    }

    /// The current object of the source's key, whose conditions hold.
    async fn find_source(&self) -> S3Result<ObjectVersion> {
        let source = self.look_up_source().await?;
        if !source.tags.is_empty() {
            // The tags go along.
            let needed =
                Permission::on_object("s3:GetObjectTagging", self.bucket.as_str(), source.key.as_str(), None);
            let needed =
                Permissions::one(needed).and(Permission::on_target("s3:PutObjectTagging", self.request));
            self.gateway.also(needed, &source.tags).await?;
        }
        match self.operation.source_conditions.evaluate(&source.etag, source.modified_at) {
            Verdict::Proceed => Ok(source),
            Verdict::NotModified(condition) | Verdict::Failed(condition) => {
                Err(failed(format!("x-amz-rename-source-{condition}")))
            }
        }
    }

    async fn look_up_source(&self) -> S3Result<ObjectVersion> {
        let RenameSource { key, after_bucket } = &self.operation.source;
        match (lookup(self.gateway, self.bucket, key, None).await, after_bucket) {
            (Err(error), Some(shorter)) if error.code() == ErrorCode::NoSuchKey => {
                let [read, delete] = on_source(self.bucket, shorter);
                let needed = Permissions::one(read).and(delete);
                self.gateway.also(needed, &metadata::Tags::new()).await?;
                lookup(self.gateway, self.bucket, shorter, None).await
            }
            (found, _) => found,
        }
    }

    /// Checks the conditions on what the rename replaces.
    async fn check_destination(&self) -> S3Result<ExpectedObject> {
        let conditions = &self.operation.conditions;
        if conditions.is_empty() {
            return Ok(ExpectedObject::Any);
        }
        let lookup = metadata::LookupObject {
            bucket: self.bucket.to_string(),
            key: self.key.to_string(),
            version: None,
            range: metadata::LookupRange::Whole,
            extents_max: 0,
        };
        let (verdict, found) = match self.gateway.metadata.lookup_object(lookup).await {
            Ok(located) => {
                let object = located.object;
                (
                    conditions.evaluate(&object.etag, object.modified_at),
                    ExpectedObject::Version(object.version),
                )
            }
            Err(MetadataError::NoSuchKey | MetadataError::DeleteMarker { .. }) => {
                (conditions.evaluate_absent(), ExpectedObject::Absent)
            }
            Err(error) => return Err(error.into()),
        };
        match verdict {
            Verdict::Proceed => Ok(found),
            Verdict::NotModified(condition) | Verdict::Failed(condition) => Err(failed(condition)),
        }
    }

    async fn send(
        &self,
        source: &ObjectVersion,
        destination: ExpectedObject,
    ) -> Result<Renamed, MetadataError> {
        let request = metadata::RenameObject {
            bucket: self.bucket.to_string(),
            source: source.key.clone(),
            source_version: source.version,
            key: self.key.to_string(),
            destination,
            version: VersionId(self.gateway.env.uuid_v7()),
            marker: VersionId(self.gateway.env.uuid_v7()),
            parameters: self.parameters.clone(),
            mutation: self.mutation,
        };
        self.gateway.metadata.rename_object(request).await
    }

    fn answer(&self, renamed: Renamed) -> S3Result<Response> {
        if renamed.parameters != self.parameters {
            return Err(S3Error::new(ErrorCode::IdempotencyParameterMismatch));
        }
        let mut answer = response::empty(StatusCode::OK);
        set_version(&mut answer, renamed.name);
        Ok(answer)
    }
}

fn failed(condition: impl Into<String>) -> S3Error {
    S3Error::new(ErrorCode::PreconditionFailed).detail("Condition", condition)
}

/// The digest of texts, each of which is told from the next by its length.
fn digest(texts: &[&str]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    digest.finalize().into()
}
