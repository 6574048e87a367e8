//! ListObjectVersions.

use cairn_protocol::metadata::{
    self, ListMark, VersionEntry, VersionMark, VersionName, VersionPage, VersionSummary,
};

use super::listing::{Listing, Owners};
use crate::access::Authorised;
use crate::caller::Action;
use crate::declaration::{Declaration, Member, Resource, Verb, When, groups};
use crate::error::{S3Error, S3Result};
use crate::ops::Operation;
use crate::ops::object::ShownClasses;
use crate::request::{Request, RequestBody};
use crate::response::Response;
use crate::types::{iso8601_seconds, version_name};
use crate::xml::XmlWriter;

/// `GET /bucket?versions`.
#[derive(Debug)]
pub(crate) struct ListObjectVersions {
    listing: Listing,
    key_marker: String,
    version_marker: Option<VersionName>,
}

impl Operation for ListObjectVersions {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("versions")],
        members: &[
            groups::LIST,
            groups::OPTIONAL_ATTRIBUTES,
            groups::COMMON,
            &[Member::query("key-marker"), Member::query("max-keys"), Member::query("version-id-marker")],
        ],
        ..Declaration::new("ListObjectVersions", Verb::Get, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:ListBucketVersions");

    fn parse(request: &Request) -> S3Result<Self> {
        let query = &request.query;
        let key_marker = query.get("key-marker").unwrap_or_default().to_owned();
        let version_marker = query.get("version-id-marker").filter(|marker| !marker.is_empty());
        if let Some(marker) = version_marker.filter(|_| key_marker.is_empty()) {
            return Err(S3Error::invalid_argument(
                "version-id-marker",
                marker,
                "A version-id marker cannot be specified without a key marker.",
            ));
        }
        let version_marker =
            version_marker.map(|marker| version_name("version-id-marker", marker)).transpose()?;
        Ok(Self { listing: Listing::parse(request)?, key_marker, version_marker })
    }

    async fn run(self, gateway: &Authorised, _: Request, _: RequestBody) -> S3Result<Response> {
        let page = self.page(gateway).await?;
        let classes = page.entries.iter().map(|entry| match entry {
            VersionEntry::Version(version) => version.object.storage_class.as_deref(),
            VersionEntry::CommonPrefix(_) => None,
        });
        let classes = ShownClasses::of(gateway, classes).await?;
        let (listing, owners) = (&self.listing, Owners::of(gateway)?);
        Ok(Listing::answer(&page.region, "ListVersionsResult", |xml| {
            listing.write_head(xml, page.truncated);
            self.write_markers(xml, &page);
            for entry in &page.entries {
                if let VersionEntry::Version(version) = entry {
                    self.write_version(xml, version, &classes, &owners);
                }
            }
            listing.write_prefixes(
                xml,
                page.entries.iter().filter_map(|entry| match entry {
                    VersionEntry::CommonPrefix(prefix) => Some(prefix.as_str()),
                    VersionEntry::Version(_) => None,
                }),
            );
        }))
    }
}

impl ListObjectVersions {
    async fn page(&self, gateway: &Authorised) -> S3Result<VersionPage> {
        let Listing { bucket, prefix, delimiter, max_keys, .. } = &self.listing;
        if *max_keys == 0 {
            let region = self.listing.region(gateway).await?;
            return Ok(VersionPage { entries: Vec::new(), truncated: false, region });
        }
        let request = metadata::ListVersions {
            bucket: bucket.to_string(),
            prefix: prefix.clone(),
            delimiter: delimiter.clone(),
            after: self.mark(),
            max: *max_keys,
        };
        Ok(gateway.metadata.list_versions(request).await?)
    }

    fn mark(&self) -> Option<VersionMark> {
        if let Some(name) = self.version_marker {
            return Some(VersionMark::Version(self.key_marker.clone(), name));
        }
        Some(match self.listing.mark(&self.key_marker)? {
            ListMark::Key(key) => VersionMark::Key(key),
            ListMark::Prefix(prefix) => VersionMark::Prefix(prefix),
        })
    }

    fn write_markers(&self, xml: &mut XmlWriter, page: &VersionPage) {
        let encoding = &self.listing.encoding;
        xml.text("KeyMarker", &encoding.apply(&self.key_marker));
        let version_marker = self.version_marker.map(|marker| marker.to_string());
        xml.text("VersionIdMarker", version_marker.as_deref().unwrap_or_default());
        match page.entries.last().filter(|_| page.truncated) {
            Some(VersionEntry::Version(version)) => {
                xml.text("NextKeyMarker", &encoding.apply(&version.object.key));
                xml.text("NextVersionIdMarker", &version.name.to_string());
            }
            Some(VersionEntry::CommonPrefix(prefix)) => {
                xml.text("NextKeyMarker", &encoding.apply(prefix));
            }
            None => {}
        }
    }

    fn write_version(
        &self,
        xml: &mut XmlWriter,
        version: &VersionSummary,
        classes: &ShownClasses,
        owners: &Owners,
    ) {
        let element = if version.is_delete_marker { "DeleteMarker" } else { "Version" };
        xml.element(element, |xml| {
            xml.text("VersionId", &version.name.to_string());
            xml.text("IsLatest", if version.is_latest { "true" } else { "false" });
            if version.is_delete_marker {
                xml.text("Key", &self.listing.encoding.apply(&version.object.key));
                xml.text("LastModified", &iso8601_seconds(version.object.modified_at));
                owners.write(xml, None);
            } else {
                self.listing.write_object(xml, &version.object, classes, Some(owners));
            }
        });
    }
}
