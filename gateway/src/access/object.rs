//! An object as decisions about access see it.

use cairn_policy::acl::Acl;
use cairn_protocol::metadata::MetadataError::{DeleteMarker, NoSuchBucket, NoSuchKey, NoSuchVersion};
use cairn_protocol::metadata::{
    Account, LookupObject, LookupRange, Metadata, MetadataError, ObjectVersion, Tags,
};
use cairn_protocol::warn_self;

use super::documents::Document as _;
use super::permission::Permission;

/// An object: its owner, its ACL and its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectAccess {
    /// The account that owns it, if it is not the owner of the bucket.
    pub(super) owner: Option<Account>,
    /// Its ACL, if it is not the one that gives the owner full control.
    pub(super) acl: Option<Acl>,
    /// Its tags.
    pub(super) tags: Tags,
}

impl ObjectAccess {
    /// The object that the metanode returned.
    pub(super) fn new(object: &ObjectVersion) -> Self {
        let access = object.attributes.access.as_deref();
        let acl = access.and_then(|access| access.acl.as_deref()).map(Acl::read).transpose();
        let acl = acl.unwrap_or_else(|error| {
            warn_self!(%error, key = object.key, "the ACL of an object grants nothing");
            Some(Acl::default())
        });
        let owner = access.and_then(|access| access.owner.clone());
        Self { owner, acl, tags: object.tags.clone() }
    }

    /// Looks up the object that a permission is about; `None` if there is no such object.
    ///
    /// # Errors
    /// The metanode's.
    pub(super) async fn find(
        metadata: &dyn Metadata,
        permission: &Permission,
    ) -> Result<Option<Self>, MetadataError> {
        let Some((bucket, key)) = permission.object() else { return Ok(None) };
        let request = LookupObject {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version: permission.version,
            range: LookupRange::Whole,
            extents_max: 0,
        };
        match metadata.lookup_object(request).await {
            Ok(found) => Ok(Some(Self::new(&found.object))),
            Err(NoSuchKey | NoSuchVersion | NoSuchBucket { .. } | DeleteMarker { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
