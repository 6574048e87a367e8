//! DeleteObjects.

use cairn_protocol::metadata::{self, MetadataError, VersionName, WriteCondition};

use super::lock::{may_bypass, wants_bypass};
use crate::access::{Authorised, Pending, Permission};
use crate::declaration::{Body, Declaration, Member, Resource, Verb, When, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::DeferredOperation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{EtagList, ObjectKey};
use crate::xml::{Element, XmlWriter};

const DIRECTORY_BUCKETS: &str = "LastModifiedTime and Size are conditions of directory buckets only.";

/// Upper limit of S3 for keys in a request.
const KEYS_MAX: usize = 1000;

/// `POST /bucket?delete`.
#[derive(Debug)]
pub(crate) struct DeleteObjects;

impl DeferredOperation for DeleteObjects {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("delete")],
        body: Body::Document("Delete"),
        members: &[
            groups::COMMON,
            groups::DELETE,
            &[
                Member::element("Delete/Quiet"),
                Member::element("Delete/Object/Key"),
                Member::element("Delete/Object/VersionId"),
                Member::element("Delete/Object/ETag"),
                Member::element("Delete/Object/LastModifiedTime").missing(DIRECTORY_BUCKETS),
                Member::element("Delete/Object/Size").missing(DIRECTORY_BUCKETS),
            ],
        ],
        ..Declaration::new("DeleteObjects", Verb::Post, Resource::Bucket)
    };

    fn parse(request: &Request) -> S3Result<Self> {
        // S3 requires a digest of the list, because a damaged list would delete the wrong objects.
        if !request.payload_spec()?.has_digest() {
            return Err(S3Error::invalid_request(
                "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
            ));
        }
        Ok(Self)
    }

    async fn run(self, pending: Pending, request: Request, body: RequestBody) -> S3Result<Response> {
        let bucket = request.bucket()?.to_string();
        let (mut entries, quiet) = parse_document(&body.document(&request, "Delete").await?)?;
        let gateway = refuse_denied(pending, &bucket, &mut entries).await?;
        if let Some(gateway) = &gateway
            && wants_bypass(gateway, &request).await?
        {
            for object in entries.iter_mut().filter_map(|entry| entry.outcome.as_mut().ok()) {
                object.bypass_governance = may_bypass(gateway, &request, &object.key).await?;
            }
        }
        let objects = entries.iter().filter_map(|entry| entry.outcome.as_ref().ok().cloned()).collect();
        let answers = match gateway {
            Some(gateway) => {
                let delete = metadata::DeleteObjects { bucket, objects, mutation: gateway.mutation() };
                gateway.metadata.delete_objects(delete).await?
            }
            None => Vec::new(),
        };
        let mut answers = answers.into_iter();
        Ok(response::xml("DeleteResult", |xml| {
            for entry in entries {
                let outcome = entry.outcome.and_then(|_| match answers.next() {
                    Some(Ok(deleted)) => Ok(deleted),
                    Some(Err(error)) => Err(S3Error::from(error)),
                    None => Err(S3Error::from(MetadataError::Internal)),
                });
                write_outcome(xml, &entry.key, entry.version.as_deref(), outcome, quiet);
            }
        }))
    }
}

/// Marks the objects that the caller may not delete. Each needs a permission of its own.
async fn refuse_denied(
    pending: Pending,
    bucket: &str,
    entries: &mut [Entry],
) -> S3Result<Option<Authorised>> {
    let permission = |object: &metadata::DeleteObject| {
        Permission::on_object("s3:DeleteObject", bucket, &object.key, object.version)
    };
    let asked = entries.iter().filter_map(|entry| entry.outcome.as_ref().ok()).map(permission).collect();
    let (gateway, answers) = pending.each(asked).await?;
    let waiting = entries.iter_mut().filter(|entry| entry.outcome.is_ok());
    for (entry, answer) in waiting.zip(answers) {
        if let Err(denied) = answer {
            entry.outcome = Err(denied);
        }
    }
    Ok(gateway)
}

/// One object to delete, or the reason why it is not deleted.
#[derive(Debug)]
struct Entry {
    key: String,
    /// The version id as the client sent it. S3 returns it in the result.
    version: Option<String>,
    outcome: S3Result<metadata::DeleteObject>,
}

fn parse_document(document: &Element) -> S3Result<(Vec<Entry>, bool)> {
    let quiet = match document.optional("Quiet")?.map(Element::trimmed).transpose()? {
        None => false,
        Some(text) if text.eq_ignore_ascii_case("true") => true,
        Some(text) if text.eq_ignore_ascii_case("false") => false,
        Some(_) => return Err(S3Error::new(ErrorCode::MalformedXML)),
    };
    let objects = document.children().iter().filter(|child| child.name() == "Object");
    let entries: Vec<Entry> = objects.map(parse_entry).collect::<S3Result<_>>()?;
    if entries.is_empty() || entries.len() > KEYS_MAX {
        return Err(S3Error::new(ErrorCode::MalformedXML));
    }
    Ok((entries, quiet))
}

fn parse_entry(object: &Element) -> S3Result<Entry> {
    let key = object.required("Key")?.text()?.to_owned();
    let text = |name| object.optional(name)?.map(Element::trimmed).transpose();
    let (version, etag) = (text("VersionId")?, text("ETag")?);
    let version = version.filter(|version| !version.is_empty());
    let outcome = ObjectKey::parse(key.clone()).and_then(|key| {
        let name = version.map(str::parse::<VersionName>).transpose();
        Ok(metadata::DeleteObject {
            key: key.into(),
            condition: etag.map_or(Ok(WriteCondition::None), condition)?,
            version: name.map_err(|_| S3Error::new(ErrorCode::NoSuchVersion))?,
            bypass_governance: false,
        })
    });
    let version = version.map(str::to_owned);
    Ok(Entry { key, version, outcome })
}

fn condition(etag: &str) -> S3Result<WriteCondition> {
    match EtagList::parse(etag) {
        EtagList::Any => Ok(WriteCondition::Present),
        EtagList::Tags(tags) => match <[String; 1]>::try_from(tags) {
            Ok([tag]) => Ok(WriteCondition::Etag(tag)),
            Err(_) => Err(S3Error::invalid_argument("ETag", etag, "An ETag is one entity tag or *.")),
        },
    }
}

fn write_outcome(
    xml: &mut XmlWriter,
    key: &str,
    version: Option<&str>,
    outcome: S3Result<metadata::Deleted>,
    quiet: bool,
) {
    match outcome {
        Ok(_) if quiet => {}
        Ok(deleted) => xml.element("Deleted", |xml| {
            xml.text("Key", key);
            xml.optional("VersionId", version);
            if let Some(marker) = deleted.marker {
                xml.text("DeleteMarker", "true");
                xml.text("DeleteMarkerVersionId", &marker.to_string());
            }
        }),
        Err(error) => xml.element("Error", |xml| {
            xml.text("Key", key);
            xml.optional("VersionId", version);
            xml.text("Code", error.code().as_str());
            xml.text("Message", error.message());
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse;

    fn read(inner: &str) -> S3Result<(Vec<Entry>, bool)> {
        let document = parse(format!("<Delete>{inner}</Delete>").as_bytes(), "Delete").unwrap();
        DeleteObjects::DECLARATION.check_document(&document)?;
        parse_document(&document)
    }

    #[test]
    fn keys_keep_their_order_and_fail_independently() {
        let long = "k".repeat(1025);
        let (entries, quiet) = read(&format!(
            "<Quiet>true</Quiet><Object><Key>a</Key></Object><Object><Key>{long}</Key></Object>\
             <Object><Key>b</Key><VersionId>null</VersionId><ETag>\"e\"</ETag></Object>\
             <Object><Key>c</Key><VersionId>3HL4</VersionId></Object>"
        ))
        .unwrap();
        assert!(quiet);
        let codes: Vec<_> =
            entries.iter().map(|entry| entry.outcome.as_ref().err().map(|error| error.code())).collect();
        assert_eq!(codes, [None, Some(ErrorCode::KeyTooLongError), None, Some(ErrorCode::NoSuchVersion)]);
        assert_eq!(entries[2].outcome.as_ref().unwrap().condition, WriteCondition::Etag("e".into()));
    }

    #[test]
    fn one_to_a_thousand_keys_are_accepted() {
        let keys = |count: usize| "<Object><Key>a</Key></Object>".repeat(count);
        assert_eq!(read(&keys(1000)).unwrap().0.len(), 1000);
        for inner in [keys(0), keys(1001), "<Object/>".into(), "<Object><Key>a</Key><X/></Object>".into()] {
            assert_eq!(read(&inner).unwrap_err().code(), ErrorCode::MalformedXML);
        }
        assert_eq!(
            read("<Object><Key>a</Key><Size>1</Size></Object>").unwrap_err().code(),
            ErrorCode::NotImplemented
        );
    }
}
