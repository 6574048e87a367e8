//! Renames an object: the new version refers to the content of the old one, in one transaction with the end of the old one.

use cairn_protocol::env::Timestamp;
use cairn_protocol::metadata::{
    DeleteObject, ExpectedObject, MetadataError, ObjectVersion, RenameObject, RenameRef, Renamed,
    VersionName, Versioning, WriteCondition,
};

use super::delete::delete_current;
use super::{Destination, NewVersion, check_sound, destination, make_current};
use crate::block_manager::BlockManager;
use crate::namespace::Namespace;
use crate::namespace::quotas;
use crate::namespace::schedule::Schedule;
use crate::store::usage::Owners;
use crate::store::{self, Connection};

impl Namespace {
    pub(in crate::namespace) async fn rename_object(
        &self,
        request: RenameObject,
    ) -> Result<Renamed, MetadataError> {
        let (blocks, schedule) = (self.blocks.clone(), self.schedule.clone());
        let env = self.env.clone();
        self.store.write(move |tx| Box::pin(rename(tx, (blocks, schedule), request, env.now()))).await
    }

    pub(in crate::namespace) async fn find_rename(
        &self,
        request: RenameRef,
    ) -> Result<Option<Renamed>, MetadataError> {
        let mut reader = self.store.read().await?;
        Ok(store::mutations::find(&mut reader, request.mutation).await?)
    }
}

async fn rename(
    tx: &mut Connection,
    (blocks, schedule): (BlockManager, Schedule),
    request: RenameObject,
    now: Timestamp,
) -> Result<Renamed, MetadataError> {
    if let Some(first) = store::mutations::find(tx, request.mutation).await? {
        return Ok(first);
    }
    let to = destination(tx, &request.bucket, blocks.lock_clock()).await?;
    let source = store::objects::find_current(tx, to.bucket, &request.source).await?;
    let source = source.ok_or(MetadataError::NoSuchKey)?;
    if source.version != request.source_version {
        return Err(MetadataError::ObjectChanged);
    }
    check_sound(&source)?;
    check_expected(tx, to, &request).await?;
    let name = if request.key == request.source {
        source.shown_name()
    } else {
        let name = move_to_key(tx, to, source, &request, now).await?;
        for key in [&request.key, &request.source] {
            schedule.refresh(tx, (to.bucket, to.rules.lifecycle_revision), key).await?;
        }
        name
    };
    let renamed = Renamed { name, parameters: request.parameters };
    store::mutations::remember(tx, request.mutation, &renamed, now).await?;
    Ok(renamed)
}

async fn check_expected(
    tx: &mut Connection,
    to: Destination,
    request: &RenameObject,
) -> Result<(), MetadataError> {
    let expected = match request.destination {
        ExpectedObject::Any => return Ok(()),
        ExpectedObject::Absent => None,
        ExpectedObject::Version(version) => Some(version),
    };
    let current = store::objects::find_current(tx, to.bucket, &request.key).await?;
    match current.map(|current| current.version) == expected {
        true => Ok(()),
        false => Err(MetadataError::ObjectChanged),
    }
}

/// Makes the new version, and ends the old one as a delete does: in a bucket with versioning a delete marker hides it.
async fn move_to_key(
    tx: &mut Connection,
    to: Destination,
    source: ObjectVersion,
    request: &RenameObject,
    now: Timestamp,
) -> Result<Option<VersionName>, MetadataError> {
    store::lists::share(tx, source.content).await?;
    // Who wrote it goes along, and the renaming user has used nothing more.
    let user = store::objects::user_of(tx, to.bucket, &source).await?;
    let version = NewVersion {
        key: request.key.clone(),
        version: request.version,
        length: source.length,
        etag: source.etag,
        attributes: source.attributes,
        tags: source.tags,
        part_count: source.part_count,
        content: source.content,
        user,
        // A rename keeps Last-Modified, as at AWS. But where versions are kept, ages count from it: how long the version below has
        // been noncurrent, and a default retention. An old time would end both too early.
        modified_at: (to.versioning == Versioning::Never).then_some(source.modified_at),
    };
    let made = make_current(tx, to, version, now).await?;
    let old = DeleteObject {
        key: request.source.clone(),
        condition: WriteCondition::None,
        version: None,
        bypass_governance: false,
    };
    delete_current(tx, to, &old, request.marker, now).await?;
    // Where versions are kept, there is one more.
    quotas::check_with(tx, Owners { bucket: to.bucket, user }, to.rules.quota).await?;
    Ok(made.name)
}
