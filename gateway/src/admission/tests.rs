//! The members of a request: a declared one is read or refused, and an undeclared one never changes a write.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::declaration::{Declaration, Place};
use crate::error::{ErrorCode, S3Result};
use crate::operations_table;
use crate::ops::bucket::{CreateBucket, DeleteBucket, ListObjects};
use crate::ops::multipart::{CompleteMultipartUpload, CreateMultipartUpload, UploadPart};
use crate::ops::object::{CopyObject, DeleteObject, DeleteObjects, GetObject, PutObject, PutObjectTagging};
use crate::ops::{DeferredOperation, Operation};
use crate::route;
use crate::uri::Query;
use crate::xml;

/// The names of the remaining headers, and the remaining query.
fn admit(
    declaration: &Declaration,
    headers: &[(&'static str, &str)],
    query: &str,
) -> S3Result<(Vec<String>, Query)> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let mut query = Query::parse(query).unwrap();
    declaration.admit(&mut map, &mut query)?;
    Ok((map.keys().map(ToString::to_string).collect(), query))
}

fn header(declaration: &Declaration, name: &'static str, value: &str) -> Option<ErrorCode> {
    admit(declaration, &[(name, value)], "").err().map(|error| error.code())
}

fn parameter(declaration: &Declaration, query: &str) -> Option<ErrorCode> {
    admit(declaration, &[], query).err().map(|error| error.code())
}

const MISSING: Option<ErrorCode> = Some(ErrorCode::NotImplemented);
const ARGUMENT: Option<ErrorCode> = Some(ErrorCode::InvalidArgument);
const REQUEST: Option<ErrorCode> = Some(ErrorCode::InvalidRequest);

/// A global list of known headers refused a header that AWS's C++ SDK sends with every request. Users of that SDK could
/// not do anything.
#[test]
fn members_that_aws_does_not_define_are_ignored_and_cannot_be_read() {
    let sent = [
        ("host", "localhost"),
        ("x-amz-api-version", "2006-03-01"),
        ("x-amz-te", "append-md5"),
        ("x-amz-fwd-status", "200"),
        ("x-amz-something-new", "x"),
        ("x-amz-object-attributes", "ETag"),
        ("x-amz-tagging", "a=1"),
        ("x-amz-copy-source-if-match", "e"),
        ("if-match", "e"),
        ("content-encoding", "gzip"),
    ];
    let (left, _) =
        admit(ListObjects::DECLARATION, &sent, "prefix=a&x=1&response-expires=0&list-types=3").unwrap();
    assert_eq!(left, ["host"]);
    let (left, query) =
        admit(GetObject::DECLARATION, &sent, "partNumber=1&prefix=a&X-Amz-Date=x&x-id=GetObject").unwrap();
    assert_eq!(left, ["host", "if-match"]);
    assert_eq!(query, Query::parse("partNumber=1").unwrap());
    let sent = [("x-amz-tagging", "a=1"), ("content-encoding", "gzip"), ("x-amz-acl", "public-read")];
    assert_eq!(admit(UploadPart::DECLARATION, &sent, "").unwrap().0, ["content-encoding"]);
    assert_eq!(
        admit(PutObject::DECLARATION, &sent[..2], "").unwrap().0,
        ["x-amz-tagging", "content-encoding"]
    );
}

#[test]
fn members_that_are_not_implemented_are_refused() {
    for (name, value) in [
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-customer-key", "k"),
        ("x-amz-object-lock-event-hold", "ON"),
        ("x-amz-object-lock-event-hold-duration-days", "1"),
        ("x-amz-website-redirect-location", "/x"),
        ("x-amz-write-offset-bytes", "0"),
        ("x-amz-checksum-sha512", "x"),
        ("x-amz-checksum-xxhash3", "x"),
        ("x-amz-sdk-checksum-algorithm", "SHA512"),
    ] {
        assert_eq!(header(PutObject::DECLARATION, name, value), MISSING, "{name}: {value}");
    }
    assert_eq!(header(DeleteObject::DECLARATION, "x-amz-mfa", "123"), MISSING);
    assert_eq!(header(CreateBucket::DECLARATION, "x-amz-bucket-namespace", "account-regional"), MISSING);
    assert_eq!(
        header(GetObject::DECLARATION, "x-amz-server-side-encryption-customer-algorithm", "AES256"),
        MISSING
    );
    let words = admit(PutObject::DECLARATION, &[("x-amz-server-side-encryption", "AES256")], "").unwrap_err();
    assert!(words.message().contains("encryption"), "{words}");
}

/// Cairn answered 501 to all of these, or ignored them.
#[test]
fn values_unknown_to_aws_get_the_error_of_aws() {
    let encryption = Some(ErrorCode::InvalidEncryptionAlgorithmError);
    for (name, value, code) in [
        ("x-amz-acl", "junk", ARGUMENT),
        ("x-amz-acl", "", ARGUMENT),
        ("x-amz-acl", "Private", ARGUMENT),
        ("x-amz-acl", "\u{e9}", ARGUMENT),
        ("x-amz-grant-full-control", "everybody", ARGUMENT),
        ("x-amz-object-lock-mode", "FOREVER", ARGUMENT),
        ("x-amz-object-lock-legal-hold", "MAYBE", ARGUMENT),
        ("x-amz-server-side-encryption", "ROT13", encryption),
        ("x-amz-server-side-encryption-customer-algorithm", "DES", encryption),
        ("x-amz-server-side-encryption-bucket-key-enabled", "maybe", ARGUMENT),
        ("x-amz-checksum-sha256a", "x", REQUEST),
        ("x-amz-checksum-crc64", "x", REQUEST),
        ("x-amz-sdk-checksum-algorithm", "CRC31", REQUEST),
        ("x-amz-expected-bucket-owner", "me", Some(ErrorCode::InvalidBucketOwnerAWSAccountID)),
    ] {
        assert_eq!(header(PutObject::DECLARATION, name, value), code, "{name}: {value}");
    }
    assert_eq!(header(CreateBucket::DECLARATION, "x-amz-object-ownership", "Nobody"), ARGUMENT);
    assert_eq!(header(CreateBucket::DECLARATION, "x-amz-bucket-object-lock-enabled", "perhaps"), ARGUMENT);
    assert_eq!(header(CopyObject::DECLARATION, "x-amz-metadata-directive", "MERGE"), ARGUMENT);
    assert_eq!(header(CopyObject::DECLARATION, "x-amz-tagging-directive", "copy"), ARGUMENT);
    assert_eq!(header(CreateMultipartUpload::DECLARATION, "x-amz-checksum-type", "WHOLE"), REQUEST);
    assert_eq!(header(CreateMultipartUpload::DECLARATION, "x-amz-checksum-algorithm", "CRC31"), REQUEST);
    assert_eq!(header(GetObject::DECLARATION, "x-amz-checksum-mode", "maybe"), REQUEST);
    assert_eq!(header(ListObjects::DECLARATION, "x-amz-optional-object-attributes", "Colour"), ARGUMENT);
    assert_eq!(header(DeleteObject::DECLARATION, "x-amz-bypass-governance-retention", "perhaps"), ARGUMENT);
    assert_eq!(parameter(GetObject::DECLARATION, "response-x-amz-meta-a=1"), ARGUMENT);
    assert_eq!(parameter(GetObject::DECLARATION, "response-location=x"), ARGUMENT);
}

#[test]
fn values_that_are_in_force_anyway_are_accepted() {
    for (name, value) in [
        ("x-amz-acl", "private"),
        ("x-amz-acl", "bucket-owner-full-control"),
        ("x-amz-server-side-encryption-bucket-key-enabled", "false"),
        ("x-amz-request-payer", "requester"),
        ("x-amz-expected-bucket-owner", cairn_protocol::metadata::FIRST_ACCOUNT_ID),
    ] {
        assert_eq!(header(PutObject::DECLARATION, name, value), None, "{name}: {value}");
    }
    assert_eq!(header(CreateBucket::DECLARATION, "x-amz-object-ownership", "BucketOwnerEnforced"), None);
    assert_eq!(header(CreateBucket::DECLARATION, "x-amz-bucket-object-lock-enabled", "False"), None);
    let granted = format!("id=\"{}\"", cairn_protocol::metadata::FIRST_CANONICAL_ID);
    assert_eq!(header(CreateBucket::DECLARATION, "x-amz-grant-full-control", &granted), None);
}

/// `x-amz-copy-source` on `POST ?uploads` was ignored: an empty upload was created instead of a copy.
#[test]
fn a_header_that_means_another_write_is_never_ignored() {
    assert_eq!(header(CreateMultipartUpload::DECLARATION, "x-amz-copy-source", "/b/k"), MISSING);
    assert_eq!(header(CompleteMultipartUpload::DECLARATION, "x-amz-copy-source", "/b/k"), MISSING);
    assert_eq!(header(PutObjectTagging::DECLARATION, "x-amz-copy-source", "/b/k"), MISSING);
    assert_eq!(header(CopyObject::DECLARATION, "x-amz-copy-source-range", "bytes=0-1"), MISSING);
    assert_eq!(header(PutObject::DECLARATION, "x-amz-copy-source-if-match", "e"), MISSING);
    assert_eq!(header(PutObject::DECLARATION, "x-amz-rename-source", "/b/k"), MISSING);
    assert_eq!(header(PutObject::DECLARATION, "content-range", "bytes 0-1/2"), MISSING);
    assert_eq!(header(UploadPart::DECLARATION, "x-amz-write-offset-bytes", "0"), MISSING);
    for guard in ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"] {
        assert_eq!(header(UploadPart::DECLARATION, guard, "x"), MISSING, "{guard}");
        assert_eq!(header(DeleteBucket::DECLARATION, guard, "x"), MISSING, "{guard}");
        assert_eq!(header(ListObjects::DECLARATION, guard, "x"), None, "{guard}");
    }
    assert_eq!(header(DeleteObject::DECLARATION, "if-none-match", "*"), MISSING);
    assert_eq!(header(PutObject::DECLARATION, "if-unmodified-since", "x"), MISSING);
    // AWS: "header is not supported for this operation".
    for value in ["AES256", "aws:kms"] {
        assert_eq!(header(UploadPart::DECLARATION, "x-amz-server-side-encryption", value), ARGUMENT);
        assert_eq!(
            header(CompleteMultipartUpload::DECLARATION, "x-amz-server-side-encryption", value),
            ARGUMENT
        );
        assert_eq!(header(GetObject::DECLARATION, "x-amz-server-side-encryption", value), ARGUMENT);
    }
    assert_eq!(header(GetObject::DECLARATION, "x-cairn-block-size", "1MiB"), MISSING);
    assert_eq!(header(CopyObject::DECLARATION, "x-cairn-block-size", "1MiB"), MISSING);
    assert_eq!(header(PutObject::DECLARATION, "x-cairn-block-size", "1MiB"), None);
}

#[test]
fn a_parameter_that_is_not_known_never_becomes_another_write() {
    for query in ["futureThing", "futureThing=1", "_=1700000000", "versionId=1", "response-expires=0"] {
        assert_eq!(parameter(PutObject::DECLARATION, query), MISSING, "{query}");
        assert_eq!(parameter(CreateBucket::DECLARATION, query), MISSING, "{query}");
        assert_eq!(parameter(DeleteBucket::DECLARATION, query), MISSING, "{query}");
        assert_eq!(parameter(DeleteObjects::DECLARATION, &format!("delete&{query}")), MISSING, "{query}");
    }
    assert_eq!(parameter(DeleteObject::DECLARATION, "futureThing"), MISSING);
    let signed = "x-id=PutObject&X-Amz-Algorithm=a&X-Amz-Credential=c&X-Amz-Date=d&X-Amz-Expires=1\
                  &X-Amz-SignedHeaders=host&X-Amz-Signature=s";
    assert_eq!(parameter(PutObject::DECLARATION, signed), None);
    // AWS, "Custom access log information": parameters that begin with `x-` are ignored.
    assert_eq!(parameter(PutObject::DECLARATION, "x-user=me"), None);
    assert_eq!(parameter(PutObject::DECLARATION, "x-cairn-block-size=1MiB"), MISSING);
    assert_eq!(
        parameter(DeleteObject::DECLARATION, "AWSAccessKeyId=a&Signature=s&Expires=1&versionId=null"),
        None
    );
    // One of two selectors of another operation on the same resource.
    assert_eq!(parameter(PutObject::DECLARATION, "partNumber=1"), ARGUMENT);
    assert_eq!(parameter(PutObject::DECLARATION, "uploadId=x"), ARGUMENT);
    assert_eq!(parameter(ListObjects::DECLARATION, "list-type=3"), ARGUMENT);
    // Reads ignore unknown parameters, except for subresources of other operations.
    assert_eq!(parameter(GetObject::DECLARATION, "futureThing&prefix=a&id=1&x-amz-unheard-of=1"), None);
    assert_eq!(parameter(GetObject::DECLARATION, "x-amz-checksum-mode=ENABLED"), MISSING);
    assert_eq!(parameter(GetObject::DECLARATION, "lifecycle"), MISSING);
    assert_eq!(parameter(ListObjects::DECLARATION, "versionId=1"), MISSING);
}

#[test]
fn a_document_has_only_elements_that_are_declared() {
    let check = |document: &str, root: &str, declaration: &Declaration| {
        let root = xml::parse(document.as_bytes(), root).unwrap();
        declaration.check_document(&root).err().map(|error| error.code())
    };
    let complete = |part: &str| {
        let document = format!("<CompleteMultipartUpload><Part>{part}</Part></CompleteMultipartUpload>");
        check(&document, "CompleteMultipartUpload", CompleteMultipartUpload::DECLARATION)
    };
    assert_eq!(complete("<PartNumber>1</PartNumber><ETag>e</ETag><ChecksumSHA1>x</ChecksumSHA1>"), None);
    assert_eq!(complete("<ChecksumSHA512>x</ChecksumSHA512>"), MISSING);
    assert_eq!(complete("<Colour>red</Colour>"), Some(ErrorCode::MalformedXML));
    let delete =
        |object: &str| check(&format!("<Delete>{object}</Delete>"), "Delete", DeleteObjects::DECLARATION);
    assert_eq!(delete("<Quiet>true</Quiet><Object><Key>a</Key></Object>"), None);
    assert_eq!(delete("<Object><Key>a</Key><Size>1</Size></Object>"), MISSING);
    assert_eq!(delete("<Objects/>"), Some(ErrorCode::MalformedXML));
}

#[test]
fn names_are_unique_and_selectors_tell_operations_apart() {
    let all: Vec<_> = route::declarations().collect();
    for (at, one) in all.iter().enumerate() {
        for other in &all[at + 1..] {
            assert_ne!(one.name, other.name);
            let alike = (one.method, one.resource, one.when) == (other.method, other.resource, other.when);
            assert!(!alike, "{} and {}", one.name, other.name);
        }
        for member in one.all_members() {
            let is_header = matches!(member.place, Place::Header | Place::HeaderPrefix);
            assert!(!is_header || member.name == member.name.to_ascii_lowercase(), "{}", member.name);
        }
    }
}

#[test]
fn the_page_of_operations_is_up_to_date() {
    let page = include_str!("../../../docs/s3.md");
    assert!(page == operations_table::markdown(), "run: cairn s3-operations --markdown > docs/s3.md");
}
