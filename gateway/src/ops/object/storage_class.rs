//! Storage classes: which ones a write accepts, and how responses show them.

use cairn_protocol::metadata::{MetadataError, StorageClassRef};

use crate::access::Authorised;
use crate::error::S3Result;
use crate::types::{ARCHIVE_CLASSES, is_own_class};

/// Refuses a storage class that is neither one of AWS's classes for immediate access nor one of the cluster's
/// configuration.
///
/// # Errors
/// `InvalidStorageClass`.
pub(crate) async fn check_storage_class(gateway: &Authorised, class: Option<&str>) -> S3Result<()> {
    if let Some(class) = class.filter(|class| is_own_class(class)) {
        let request = StorageClassRef { storage_class: class.to_owned() };
        gateway.metadata.check_storage_class(request).await?;
    }
    Ok(())
}

/// How responses show the storage classes of objects.
///
/// An object may have a class that is refused today: an earlier version accepted it, or it was removed from the
/// configuration. AWS's archive classes are shown as STANDARD, because clients would not read such objects (`aws s3 cp`
/// skips an archived object that was not restored), and here they can be read. Other unknown names mean nothing to
/// clients and are shown as they are.
#[derive(Debug, Default)]
pub(crate) struct ShownClasses {
    hidden: Vec<&'static str>,
}

impl ShownClasses {
    /// Prepares a response that shows these classes. It asks the metanode only if one of them is an archive class.
    ///
    /// # Errors
    /// The error of the metanode.
    pub(crate) async fn of<'a>(
        gateway: &Authorised,
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

    /// The name of this class in documents.
    pub(crate) fn name<'a>(&self, stored: Option<&'a str>) -> &'a str {
        self.unusual(stored).unwrap_or("STANDARD")
    }

    /// The name of this class in headers, which S3 omits for STANDARD.
    pub(crate) fn unusual<'a>(&self, stored: Option<&'a str>) -> Option<&'a str> {
        stored.filter(|class| !self.hidden.contains(class))
    }
}
