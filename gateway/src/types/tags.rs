//! Tags of objects and of buckets.
//!
//! Source: S3 User Guide, "Categorizing your storage using tags": at most 10, keys of 1 to 128 and values of up
//! to 256 Unicode characters; letters, digits, white space and `+ - = . _ : / @`. A bucket has
//! at most 50 ("Using tags with S3 general purpose buckets"), of the same form.

use cairn_protocol::metadata::Tags;
use http::HeaderMap;

use crate::error::{ErrorCode, S3Error, S3Result};
use crate::headers::single;
use crate::uri;
use crate::xml::{Element, XmlWriter};

const COUNT_MAX: usize = 10;
const BUCKET_COUNT_MAX: usize = 50;
const KEY_MAX: usize = 128;
const VALUE_MAX: usize = 256;

/// The tags in `x-amz-tagging`: `key=value&…`, URL-encoded.
///
/// # Errors
/// `InvalidArgument`, `InvalidTag` or `BadRequest`.
pub fn parse_tag_header(headers: &HeaderMap) -> S3Result<Option<Tags>> {
    let Some(text) = single(headers, "x-amz-tagging")? else { return Ok(None) };
    let malformed = || {
        S3Error::invalid_argument(
            "x-amz-tagging",
            text,
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
        )
    };
    let mut tags = Tags::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = uri::decode_query(key).map_err(|_| malformed())?;
        let value = uri::decode_query(value).map_err(|_| malformed())?;
        if tags.insert(key, value).is_some() {
            return Err(malformed());
        }
    }
    check_count(&tags)?;
    check(tags).map(Some)
}

/// The tags in a `<Tagging>` document.
///
/// # Errors
/// `MalformedXML`, `InvalidTag` or `BadRequest`.
pub fn parse_tag_document(root: &Element) -> S3Result<Tags> {
    root.only(&["TagSet"])?;
    let tags = parse_set(root.required("TagSet")?)?;
    check_count(&tags)?;
    check(tags)
}

/// The tags of a bucket in a `<Tagging>` document.
///
/// # Errors
/// `MalformedXML`, `InvalidTag` or `BadRequest`.
pub fn parse_bucket_tag_document(root: &Element) -> S3Result<Tags> {
    root.only(&["TagSet"])?;
    parse_new_bucket_tags(root.required("TagSet")?)
}

/// The tags of a new bucket: the `<Tags>` in a `<CreateBucketConfiguration>`.
///
/// # Errors
/// `MalformedXML`, `InvalidTag` or `BadRequest`.
pub fn parse_new_bucket_tags(set: &Element) -> S3Result<Tags> {
    let tags = parse_set(set)?;
    if tags.len() > BUCKET_COUNT_MAX {
        return Err(S3Error::with_message(
            ErrorCode::BadRequest,
            "Bucket tag count cannot be greater than 50",
        ));
    }
    check(tags)
}

fn parse_set(set: &Element) -> S3Result<Tags> {
    set.only(&["Tag"])?;
    let mut tags = Tags::new();
    for tag in set.children() {
        tag.only(&["Key", "Value"])?;
        let (key, value) = (tag.required("Key")?.text()?, tag.required("Value")?.text()?);
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(S3Error::with_message(
                ErrorCode::InvalidTag,
                "Cannot provide multiple Tags with the same key",
            )
            .detail("TagKey", key));
        }
    }
    Ok(tags)
}

/// Writes a `<TagSet>`.
pub fn write_tags(xml: &mut XmlWriter, tags: &Tags) {
    xml.element("TagSet", |xml| {
        for (key, value) in tags {
            xml.element("Tag", |xml| {
                xml.text("Key", key);
                xml.text("Value", value);
            });
        }
    });
}

fn check_count(tags: &Tags) -> S3Result<()> {
    if tags.len() > COUNT_MAX {
        return Err(S3Error::with_message(ErrorCode::BadRequest, "Object tags cannot be greater than 10"));
    }
    Ok(())
}

/// Checks the form of tags that stand in another document.
///
/// # Errors
/// `InvalidTag`.
pub(super) fn check_tags(tags: Tags) -> S3Result<Tags> {
    check(tags)
}

fn check(tags: Tags) -> S3Result<Tags> {
    for (key, value) in &tags {
        let invalid = |message| S3Error::with_message(ErrorCode::InvalidTag, message).detail("TagKey", key);
        if key.starts_with("aws:") {
            return Err(invalid("System tags cannot be added/updated by requester"));
        }
        if key.is_empty() || key.chars().count() > KEY_MAX || !key.chars().all(is_permitted) {
            return Err(invalid("The TagKey you have provided is invalid"));
        }
        if value.chars().count() > VALUE_MAX || !value.chars().all(is_permitted) {
            return Err(invalid("The TagValue you have provided is invalid").detail("TagValue", value));
        }
    }
    Ok(tags)
}

fn is_permitted(character: char) -> bool {
    character.is_alphanumeric()
        || (character.is_whitespace() && !character.is_control())
        || matches!(character, '+' | '-' | '=' | '.' | '_' | ':' | '/' | '@')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse;
    use http::HeaderValue;

    fn header(value: &str) -> S3Result<Option<Tags>> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-tagging", HeaderValue::from_str(value).unwrap());
        parse_tag_header(&headers)
    }

    #[test]
    fn the_header_is_a_query_string() {
        let tags = header("a=1&b%20c=d%2Fe&f").unwrap().unwrap();
        assert_eq!(
            tags.into_iter().collect::<Vec<_>>(),
            [("a".into(), "1".into()), ("b c".into(), "d/e".into()), ("f".into(), String::new())]
        );
        assert_eq!(header("a=1&a=2").unwrap_err().code(), ErrorCode::InvalidArgument);
        assert_eq!(header("a=%zz").unwrap_err().code(), ErrorCode::InvalidArgument);
        assert_eq!(header("").unwrap().unwrap().len(), 0);
    }

    #[test]
    fn the_limits_are_those_of_the_user_guide() {
        let ten: Vec<String> = (0..10).map(|n| format!("k{n}=v")).collect();
        assert!(header(&ten.join("&")).is_ok());
        assert_eq!(header(&format!("{}&k=v", ten.join("&"))).unwrap_err().code(), ErrorCode::BadRequest);
        for (key, value, good) in [
            ("k".repeat(128), String::new(), true),
            ("k".repeat(129), String::new(), false),
            ("k".into(), "v".repeat(256), true),
            ("k".into(), "v".repeat(257), false),
            (String::new(), "v".into(), false),
            ("aws:k".into(), "v".into(), false),
            ("k".into(), "a%24".into(), false),
            ("k".into(), "%2B-%3D._:/%40%20%C3%A9".into(), true),
        ] {
            assert_eq!(header(&format!("{key}={value}")).is_ok(), good, "{key}={value}");
        }
    }

    #[test]
    fn a_bucket_has_at_most_50_tags() {
        let set = |count: usize| {
            let tag = |n| format!("<Tag><Key>k{n}</Key><Value>v</Value></Tag>");
            let tags: String = (0..count).map(tag).collect();
            let root = format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
            parse_bucket_tag_document(&parse(root.as_bytes(), "Tagging").unwrap())
        };
        assert_eq!(set(50).unwrap().len(), 50);
        assert_eq!(set(51).unwrap_err().code(), ErrorCode::BadRequest);
    }

    #[test]
    fn a_document_is_read_back_as_it_was_written() {
        let tags = Tags::from([("a".into(), "1".into()), ("b".into(), String::new())]);
        let document = XmlWriter::document("Tagging", None, |xml| write_tags(xml, &tags));
        assert_eq!(parse_tag_document(&parse(&document, "Tagging").unwrap()).unwrap(), tags);
        let twice = "<Tagging><TagSet><Tag><Key>a</Key><Value/></Tag><Tag><Key>a</Key><Value/></Tag></TagSet></Tagging>";
        let error = parse_tag_document(&parse(twice.as_bytes(), "Tagging").unwrap()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidTag);
        let empty = parse(b"<Tagging/>", "Tagging").unwrap();
        assert_eq!(parse_tag_document(&empty).unwrap_err().code(), ErrorCode::MalformedXML);
    }
}
