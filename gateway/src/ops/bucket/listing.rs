//! The code that both versions of ListObjects share.

use cairn_protocol::metadata::{self, Account, BucketRef, ListEntry, ListMark, ObjectPage, ObjectSummary};
use http::HeaderName;

use crate::access::Authorised;
use crate::checksum::{Algorithm, ChecksumType};
use crate::error::S3Result;
use crate::ops::object::ShownClasses;
use crate::request::Request;
use crate::response::{self, Response};
use crate::types::{BucketName, Encoding, iso8601_seconds, parse_encoding, parse_limit, quoted, write_owner};
use crate::xml::XmlWriter;

/// The parameters that both versions have.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) bucket: BucketName,
    pub(super) prefix: String,
    pub(super) delimiter: Option<String>,
    pub(super) max_keys: u32,
    pub(super) encoding: Encoding,
}

impl Listing {
    pub(super) fn parse(request: &Request) -> S3Result<Self> {
        let query = &request.query;
        Ok(Self {
            bucket: request.bucket()?.clone(),
            prefix: query.get("prefix").unwrap_or_default().to_owned(),
            delimiter: query.get("delimiter").filter(|delimiter| !delimiter.is_empty()).map(str::to_owned),
            max_keys: parse_limit(query, "max-keys")?,
            encoding: parse_encoding(query)?,
        })
    }

    /// Reads the page that begins after `after`.
    pub(super) async fn page(&self, gateway: &Authorised, after: Option<ListMark>) -> S3Result<ObjectPage> {
        if self.max_keys == 0 {
            let region = self.region(gateway).await?;
            return Ok(ObjectPage { entries: Vec::new(), truncated: false, region });
        }
        let request = metadata::ListObjects {
            bucket: self.bucket.to_string(),
            prefix: self.prefix.clone(),
            delimiter: self.delimiter.clone(),
            after,
            max: self.max_keys,
        };
        Ok(gateway.metadata.list_objects(request).await?)
    }

    /// The bucket's region, for a page of no keys: S3 returns an empty one that is not truncated, if the bucket exists.
    pub(super) async fn region(&self, gateway: &Authorised) -> S3Result<String> {
        let info = gateway.metadata.get_bucket(BucketRef { bucket: self.bucket.to_string() }).await?;
        Ok(info.region)
    }

    /// The position that a marker names. A marker that is itself a common prefix ended the last page, so all keys below
    /// that prefix were shown.
    pub(super) fn mark(&self, marker: &str) -> Option<ListMark> {
        if marker.is_empty() {
            return None;
        }
        let is_prefix = self.delimiter.as_deref().is_some_and(|delimiter| {
            let rest = marker.strip_prefix(&self.prefix);
            rest.and_then(|rest| rest.split_once(delimiter)).is_some_and(|(_, behind)| behind.is_empty())
        });
        let marker = marker.to_owned();
        Some(if is_prefix { ListMark::Prefix(marker) } else { ListMark::Key(marker) })
    }

    /// The response: a document, and the bucket's region in a header.
    pub(super) fn answer(region: &str, root: &str, content: impl FnOnce(&mut XmlWriter)) -> Response {
        let mut answer = response::xml(root, content);
        if !region.is_empty() {
            let name = HeaderName::from_static("x-amz-bucket-region");
            response::set(&mut answer, name, region);
        }
        answer
    }

    /// Writes the elements before the entries, which all listings have.
    pub(super) fn write_head(&self, xml: &mut XmlWriter, truncated: bool) {
        xml.text("Name", self.bucket.as_str());
        xml.text("Prefix", &self.encoding.apply(&self.prefix));
        if let Some(delimiter) = &self.delimiter {
            xml.text("Delimiter", &self.encoding.apply(delimiter));
        }
        xml.value("MaxKeys", self.max_keys);
        if self.encoding == Encoding::Url {
            xml.text("EncodingType", "url");
        }
        xml.value("IsTruncated", truncated);
    }

    /// Determines how the storage classes of a page are shown.
    pub(super) async fn classes(gateway: &Authorised, page: &ObjectPage) -> S3Result<ShownClasses> {
        let classes = page.entries.iter().map(|entry| match entry {
            ListEntry::Object(object) => object.storage_class.as_deref(),
            ListEntry::CommonPrefix(_) => None,
        });
        ShownClasses::of(gateway, classes).await
    }

    /// Writes the entries.
    pub(super) fn write_entries(
        &self,
        xml: &mut XmlWriter,
        page: &ObjectPage,
        classes: &ShownClasses,
        owners: Option<&Owners>,
    ) {
        for entry in &page.entries {
            if let ListEntry::Object(object) = entry {
                xml.element("Contents", |xml| self.write_object(xml, object, classes, owners));
            }
        }
        self.write_prefixes(
            xml,
            page.entries.iter().filter_map(|entry| match entry {
                ListEntry::CommonPrefix(prefix) => Some(prefix.as_str()),
                ListEntry::Object(_) => None,
            }),
        );
    }

    /// Writes the common prefixes.
    pub(super) fn write_prefixes<'a>(&self, xml: &mut XmlWriter, prefixes: impl Iterator<Item = &'a str>) {
        for prefix in prefixes {
            xml.element("CommonPrefixes", |xml| xml.text("Prefix", &self.encoding.apply(prefix)));
        }
    }

    /// Writes the entry of an object.
    pub(super) fn write_object(
        &self,
        xml: &mut XmlWriter,
        object: &ObjectSummary,
        classes: &ShownClasses,
        owners: Option<&Owners>,
    ) {
        xml.text("Key", &self.encoding.apply(&object.key));
        xml.text("LastModified", &iso8601_seconds(object.modified_at));
        xml.text("ETag", &quoted(&object.etag));
        if let Some((algorithm, kind)) = object.checksum {
            xml.text("ChecksumAlgorithm", Algorithm::from(algorithm).name());
            xml.text("ChecksumType", ChecksumType::from(kind).name());
        }
        xml.value("Size", object.length);
        if let Some(owners) = owners {
            owners.write(xml, object.owner.as_ref());
        }
        xml.text("StorageClass", classes.name(object.storage_class.as_deref()));
    }
}

/// The owners of what a listing shows.
#[derive(Debug)]
pub(crate) struct Owners {
    bucket: Account,
    /// Whether objects may belong to other accounts than the bucket's.
    differ: bool,
}

impl Owners {
    /// The owners in the bucket of a request.
    pub(crate) fn of(gateway: &Authorised) -> S3Result<Self> {
        Ok(Self { bucket: gateway.bucket_owner()?, differ: gateway.has_object_owners() })
    }

    /// The owner of an object with this owner of its own.
    pub(crate) fn owner<'a>(&'a self, own: Option<&'a Account>) -> &'a Account {
        own.filter(|_| self.differ).unwrap_or(&self.bucket)
    }

    /// Writes the owner of an object with this owner of its own.
    pub(crate) fn write(&self, xml: &mut XmlWriter, own: Option<&Account>) {
        write_owner(xml, self.owner(own));
    }
}

/// Where the next page begins.
pub(super) fn next_mark(page: &ObjectPage) -> Option<ListMark> {
    if !page.truncated {
        return None;
    }
    page.entries.last().map(|entry| match entry {
        ListEntry::Object(object) => ListMark::Key(object.key.clone()),
        ListEntry::CommonPrefix(prefix) => ListMark::Prefix(prefix.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_that_is_a_common_prefix_skips_what_is_under_it() {
        let listing = |delimiter: Option<&str>| Listing {
            bucket: BucketName::parse("bucket").unwrap(),
            prefix: "p/".into(),
            delimiter: delimiter.map(str::to_owned),
            max_keys: 1000,
            encoding: Encoding::Plain,
        };
        let slash = listing(Some("/"));
        assert_eq!(slash.mark(""), None);
        assert_eq!(slash.mark("p/a/"), Some(ListMark::Prefix("p/a/".into())));
        assert_eq!(slash.mark("p/a/b"), Some(ListMark::Key("p/a/b".into())));
        assert_eq!(slash.mark("p/a/b/"), Some(ListMark::Key("p/a/b/".into())));
        assert_eq!(slash.mark("p/"), Some(ListMark::Key("p/".into())));
        assert_eq!(listing(None).mark("p/a/"), Some(ListMark::Key("p/a/".into())));
    }
}
