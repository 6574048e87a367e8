//! Storage classes: which are accepted, and what is shown of those of objects.

use cairn_protocol::metadata::{MetadataError, StorageClassRef};

use crate::error::S3Result;
use crate::gateway::Gateway;
use crate::types::{ARCHIVE_CLASSES, is_own_class};

/// Refuses a storage class that is neither one of AWS's that can be read at once, nor the cluster's.
///
/// # Errors
/// `InvalidStorageClass`.
pub(crate) async fn check_storage_class(gateway: &Gateway, class: Option<&str>) -> S3Result<()> {
    if let Some(class) = class.filter(|class| is_own_class(class)) {
        let request = StorageClassRef { storage_class: class.to_owned() };
        gateway.metadata.check_storage_class(request).await?;
    }
    Ok(())
}

/// What is shown of the storage classes of objects.
///
/// There may be objects of a class that is refused now: it was accepted before, or was one of the configuration. The
/// names of AWS's archives would keep clients from reading them, for `aws s3 cp` passes over what nobody has restored; so
/// they are shown as STANDARD, which is how they are read. Other names tell clients nothing and are shown as they are.
#[derive(Debug, Default)]
pub(crate) struct ShownClasses {
    hidden: Vec<&'static str>,
}

impl ShownClasses {
    /// For an answer that shows these classes. The metanode is asked only if there is an archive among them.
    ///
    /// # Errors
    /// As the metanode's.
    pub(crate) async fn of<'a>(
        gateway: &Gateway,
        classes: impl IntoIterator<Item = Option<&'a str>>,
    ) -> S3Result<Self> {
        let there: Vec<&str> = classes.into_iter().flatten().collect();
        let mut hidden = Vec::new();
        for archive in ARCHIVE_CLASSES.into_iter().filter(|archive| there.contains(archive)) {
            let request = StorageClassRef { storage_class: archive.to_owned() };
            match gateway.metadata.check_storage_class(request).await {
                Ok(()) => {}
                Err(MetadataError::UnknownStorageClass { .. }) => hidden.push(archive),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self { hidden })
    }

    /// The name of this class as documents show it.
    pub(crate) fn name<'a>(&self, stored: Option<&'a str>) -> &'a str {
        self.unusual(stored).unwrap_or("STANDARD")
    }

    /// The name of this class as headers show it: none for STANDARD.
    pub(crate) fn unusual<'a>(&self, stored: Option<&'a str>) -> Option<&'a str> {
        stored.filter(|class| !self.hidden.contains(class))
    }
}
