//! DeleteObjects.

use cairn_protocol::metadata::{self, MetadataError, WriteCondition};

use crate::caller::Action;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::gateway::Gateway;
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{EtagList, ObjectKey, refuse_conditions};
use crate::xml::{Element, XmlWriter};

/// S3 takes at most this many keys a request.
const KEYS_MAX: usize = 1000;

/// `POST /bucket?delete`.
#[derive(Debug)]
pub struct DeleteObjects;

impl Operation for DeleteObjects {
    const NAME: &'static str = "DeleteObjects";
    const ACTION: Action = Action("s3:DeleteObject");

    fn parse(request: &Request) -> S3Result<Self> {
        // Here each object has its condition in the document.
        refuse_conditions(&request.headers)?;
        // A damaged list would delete the wrong objects, so S3 insists on a digest of it.
        if !request.payload_spec()?.has_digest() {
            return Err(S3Error::invalid_request(
                "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
            ));
        }
        Ok(Self)
    }

    async fn run(self, gateway: &Gateway, request: Request, body: RequestBody) -> S3Result<Response> {
        let bucket = request.bucket()?.to_string();
        let (entries, quiet) = parse_document(&body.document(&request, "Delete").await?)?;
        let objects = entries.iter().filter_map(|entry| entry.outcome.as_ref().ok().cloned()).collect();
        let answers = gateway.metadata.delete_objects(metadata::DeleteObjects { bucket, objects }).await?;
        let mut answers = answers.into_iter();
        Ok(response::xml("DeleteResult", |xml| {
            for entry in entries {
                let outcome = entry.outcome.and_then(|_| match answers.next() {
                    Some(Ok(_)) => Ok(()),
                    Some(Err(error)) => Err(S3Error::from(error)),
                    None => Err(S3Error::from(MetadataError::Internal)),
                });
                write_outcome(xml, &entry.key, outcome, quiet);
            }
        }))
    }
}

/// One object to delete, or why it will not be.
#[derive(Debug)]
struct Entry {
    key: String,
    outcome: S3Result<metadata::DeleteObject>,
}

fn parse_document(document: &Element) -> S3Result<(Vec<Entry>, bool)> {
    document.only(&["Object", "Quiet"])?;
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
    object.only(&["Key", "VersionId", "ETag", "LastModifiedTime", "Size"])?;
    let key = object.required("Key")?.text()?.to_owned();
    let text = |name| object.optional(name)?.map(Element::trimmed).transpose();
    // Of directory buckets only; S3 refuses them elsewhere.
    if text("LastModifiedTime")?.is_some() || text("Size")?.is_some() {
        return Err(S3Error::not_implemented(
            "LastModifiedTime and Size are conditions of directory buckets only.",
        ));
    }
    let (version, etag) = (text("VersionId")?, text("ETag")?);
    let outcome = match version {
        None | Some("" | "null") => ObjectKey::parse(key.clone()).and_then(|key| {
            Ok(metadata::DeleteObject {
                key: key.into(),
                condition: etag.map_or(Ok(WriteCondition::None), condition)?,
            })
        }),
        Some(_) => Err(S3Error::new(ErrorCode::NoSuchVersion)),
    };
    Ok(Entry { key, outcome })
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

fn write_outcome(xml: &mut XmlWriter, key: &str, outcome: S3Result<()>, quiet: bool) {
    match outcome {
        Ok(()) if quiet => {}
        Ok(()) => xml.element("Deleted", |xml| xml.text("Key", key)),
        Err(error) => xml.element("Error", |xml| {
            xml.text("Key", key);
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
        parse_document(&parse(format!("<Delete>{inner}</Delete>").as_bytes(), "Delete").unwrap())
    }

    #[test]
    fn keys_are_taken_in_order_and_each_fails_for_itself() {
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
    fn one_to_a_thousand_keys_are_taken() {
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
