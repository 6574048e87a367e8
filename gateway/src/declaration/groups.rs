//! Members that several operations share.
//!
//! Source: AWS's service model of S3 (`service-2.json`, as botocore ships it), which a test compares with these
//! tables.

use super::grants::check_grantees;
use super::judge::{
    Listed, invalid_directive, invalid_encryption, invalid_header, invalid_legal_hold, invalid_lock_mode,
};
use super::member::Member;
use crate::caller::check_owner;
use crate::error::S3Error;

/// Why headers of event holds are refused.
pub(crate) const NO_EVENT_HOLD: &str =
    "Event holds are not implemented: nothing would keep the object from being deleted.";

/// Why headers of encryption are refused.
const NO_ENCRYPTION: &str =
    "Server-side encryption is not implemented: the data would be stored without being encrypted.";

/// Why checksums of other algorithms are refused.
const NO_SUM: &str =
    "This checksum algorithm is not implemented: CRC32, CRC32C, CRC64NVME, SHA1 and SHA256 are.";

const NO_CHARGE: &str = "nobody is charged for requests";

/// `versionId`.
pub(crate) const VERSION: Member = Member::query("versionId");

/// The account that the client expects to own the bucket.
pub(crate) const OWNER: Member = Member::header("x-amz-expected-bucket-owner").judged(check_owner);

/// The account that the client expects to own the source's bucket.
pub(crate) const SOURCE_OWNER: Member =
    Member::header("x-amz-source-expected-bucket-owner").judged(check_owner);

/// The client agrees to pay for the request.
pub(crate) const PAYER: Member = Member::header("x-amz-request-payer").moot(NO_CHARGE);

/// Members of nearly all operations.
pub(crate) const COMMON: &[Member] = &[OWNER, PAYER];

/// Members of operations on bucket configurations.
pub(crate) const BUCKET: &[Member] = &[OWNER];

/// The digests of a body.
pub(crate) const INTEGRITY: &[Member] = &[
    Member::header("content-md5"),
    Member::header("content-length"),
    Member::header("x-amz-sdk-checksum-algorithm").partly(ALGORITHMS_TEXT).listed(SDK_ALGORITHMS),
    Member::header("x-amz-checksum-crc32"),
    Member::header("x-amz-checksum-crc32c"),
    Member::header("x-amz-checksum-crc64nvme"),
    Member::header("x-amz-checksum-sha1"),
    Member::header("x-amz-checksum-sha256"),
    Member::header("x-amz-checksum-sha512").missing(NO_SUM),
    Member::header("x-amz-checksum-md5").missing(NO_SUM),
    Member::header("x-amz-checksum-xxhash64").missing(NO_SUM),
    Member::header("x-amz-checksum-xxhash3").missing(NO_SUM),
    Member::header("x-amz-checksum-xxhash128").missing(NO_SUM),
];

/// The algorithms, as an error message lists them. Not all are implemented.
pub(crate) const ALGORITHMS_TEXT: &str = "CRC32, CRC32C, CRC64NVME, SHA1 and SHA256";

/// The algorithms that AWS lists.
pub(crate) const ALGORITHMS: Listed = Listed::new(
    &["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"],
    &["SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"],
)
.any_case()
.otherwise(unsupported_algorithm);

const SDK_ALGORITHMS: Listed = ALGORITHMS.otherwise(invalid_header);

fn unsupported_algorithm(_: &str, _: &str) -> S3Error {
    S3Error::invalid_request(
        "Checksum algorithm provided is unsupported. Please try again with any of the valid types: \
         [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
    )
}

/// Attributes that are stored with an object and returned with it.
pub(crate) const ATTRIBUTES: &[Member] = &[
    Member::header("cache-control"),
    Member::header("content-disposition"),
    Member::header("content-encoding"),
    Member::header("content-language"),
    Member::header("content-type"),
    Member::header("expires"),
    Member::header_prefix("x-amz-meta-"),
    Member::header("x-amz-storage-class")
        .partly("classes that need no restore, and those of the configuration"),
    Member::header("x-amz-tagging"),
    Member::header("x-amz-website-redirect-location").missing("Websites are not implemented."),
];

/// Permissions for a new object.
pub(crate) const OBJECT_GRANTS: &[Member] = &[
    Member::header("x-amz-acl").listed(Listed::new(
        &[
            "private",
            "public-read",
            "public-read-write",
            "authenticated-read",
            "aws-exec-read",
            "bucket-owner-read",
            "bucket-owner-full-control",
        ],
        &[],
    )),
    FULL_CONTROL,
    GRANT_READ,
    GRANT_READ_ACP,
    GRANT_WRITE_ACP,
];

/// Permissions for a bucket.
pub(crate) const BUCKET_GRANTS: &[Member] = &[
    Member::header("x-amz-acl").listed(Listed::new(
        &[
            "private",
            "public-read",
            "public-read-write",
            "authenticated-read",
            "aws-exec-read",
            "bucket-owner-read",
            "bucket-owner-full-control",
            "log-delivery-write",
        ],
        &[],
    )),
    FULL_CONTROL,
    GRANT_READ,
    GRANT_WRITE,
    GRANT_READ_ACP,
    GRANT_WRITE_ACP,
];

const FULL_CONTROL: Member = Member::header("x-amz-grant-full-control").judged(check_grantees);
const GRANT_READ: Member = Member::header("x-amz-grant-read").judged(check_grantees);
/// Permissions that PutBucketAcl and PutObjectAcl set in headers.
pub(crate) const GRANT_WRITE: Member = Member::header("x-amz-grant-write").judged(check_grantees);
const GRANT_READ_ACP: Member = Member::header("x-amz-grant-read-acp").judged(check_grantees);
const GRANT_WRITE_ACP: Member = Member::header("x-amz-grant-write-acp").judged(check_grantees);

/// The elements of an ACL.
pub(crate) const ACL_ELEMENTS: &[Member] = &[
    Member::element("AccessControlPolicy/Owner/ID").partly("the owner's own, as AWS has it"),
    Member::element("AccessControlPolicy/Owner/DisplayName").moot("the id tells who it is"),
    Member::element("AccessControlPolicy/AccessControlList/Grant/Grantee/ID"),
    Member::element("AccessControlPolicy/AccessControlList/Grant/Grantee/DisplayName")
        .moot("the id tells who it is"),
    Member::element("AccessControlPolicy/AccessControlList/Grant/Grantee/EmailAddress")
        .partly("refused with 405, as AWS does since October 2025"),
    Member::element("AccessControlPolicy/AccessControlList/Grant/Grantee/URI"),
    Member::element("AccessControlPolicy/AccessControlList/Grant/Grantee/xsi:type")
        .moot("the elements within tell what the grantee is"),
    Member::element("AccessControlPolicy/AccessControlList/Grant/Permission"),
];

/// Which public access is blocked.
pub(crate) const PUBLIC_ACCESS: &[Member] = &[
    Member::element("PublicAccessBlockConfiguration/BlockPublicAcls"),
    Member::element("PublicAccessBlockConfiguration/IgnorePublicAcls"),
    Member::element("PublicAccessBlockConfiguration/BlockPublicPolicy"),
    Member::element("PublicAccessBlockConfiguration/RestrictPublicBuckets"),
];

/// Encryption of a new object.
pub(crate) const ENCRYPTION: &[Member] = &[
    Member::header("x-amz-server-side-encryption").missing(NO_ENCRYPTION).listed(
        Listed::new(&[], &["AES256", "aws:kms", "aws:kms:dsse", "aws:fsx", "aws:backup"])
            .otherwise(invalid_encryption),
    ),
    Member::header("x-amz-server-side-encryption-aws-kms-key-id").missing(NO_ENCRYPTION),
    Member::header("x-amz-server-side-encryption-context").missing(NO_ENCRYPTION),
    Member::header("x-amz-server-side-encryption-bucket-key-enabled")
        .partly("`false`")
        .listed(Listed::new(&["false"], &["true"]).any_case()),
];

/// Encryption with the client's key.
pub(crate) const CUSTOMER_KEY: &[Member] = &[
    Member::header("x-amz-server-side-encryption-customer-algorithm")
        .missing(NO_ENCRYPTION)
        .listed(Listed::new(&[], &["AES256"]).otherwise(invalid_encryption)),
    Member::header("x-amz-server-side-encryption-customer-key").missing(NO_ENCRYPTION),
    Member::header("x-amz-server-side-encryption-customer-key-md5").missing(NO_ENCRYPTION),
];

/// Encryption of the source of a copy.
pub(crate) const SOURCE_CUSTOMER_KEY: &[Member] = &[
    Member::header("x-amz-copy-source-server-side-encryption-customer-algorithm")
        .missing(NO_ENCRYPTION)
        .listed(Listed::new(&[], &["AES256"]).otherwise(invalid_encryption)),
    Member::header("x-amz-copy-source-server-side-encryption-customer-key").missing(NO_ENCRYPTION),
    Member::header("x-amz-copy-source-server-side-encryption-customer-key-md5").missing(NO_ENCRYPTION),
];

/// Object Lock of a new object.
pub(crate) const LOCK: &[Member] = &[
    Member::header("x-amz-object-lock-mode")
        .listed(Listed::new(&["GOVERNANCE", "COMPLIANCE"], &[]).otherwise(invalid_lock_mode)),
    Member::header("x-amz-object-lock-retain-until-date"),
    Member::header("x-amz-object-lock-legal-hold")
        .listed(Listed::new(&["ON", "OFF"], &[]).otherwise(invalid_legal_hold)),
    Member::header("x-amz-object-lock-event-hold").missing(NO_EVENT_HOLD),
    Member::header("x-amz-object-lock-event-hold-duration-days").missing(NO_EVENT_HOLD),
    Member::header("x-amz-object-lock-event-hold-duration-years").missing(NO_EVENT_HOLD),
];

/// The source of a copy, and its conditions.
pub(crate) const COPY_SOURCE: &[Member] = &[
    Member::header("x-amz-copy-source").partly("no access points; of versions `null` only"),
    Member::header("x-amz-copy-source-if-match"),
    Member::header("x-amz-copy-source-if-modified-since"),
    Member::header("x-amz-copy-source-if-none-match"),
    Member::header("x-amz-copy-source-if-unmodified-since"),
    SOURCE_OWNER,
];

/// Whether a copy replaces attributes of the source.
pub(crate) const DIRECTIVE: Listed = Listed::new(&["COPY", "REPLACE"], &[]).otherwise(invalid_directive);

/// Whether a copy includes the annotations of the source.
pub(crate) const ANNOTATION_DIRECTIVE: Listed =
    Listed::new(&["COPY", "EXCLUDE"], &[]).otherwise(invalid_directive);

/// Whether the checksum of an object is composite or covers the full object.
pub(crate) const CHECKSUM_TYPE: Listed =
    Listed::new(&["COMPOSITE", "FULL_OBJECT"], &[]).any_case().otherwise(invalid_header);

/// The elements of a completion that describe its parts.
pub(crate) const COMPLETED_PARTS: &[Member] = &[
    Member::element("CompleteMultipartUpload/Part/PartNumber"),
    Member::element("CompleteMultipartUpload/Part/ETag"),
    Member::element("CompleteMultipartUpload/Part/ChecksumCRC32"),
    Member::element("CompleteMultipartUpload/Part/ChecksumCRC32C"),
    Member::element("CompleteMultipartUpload/Part/ChecksumCRC64NVME"),
    Member::element("CompleteMultipartUpload/Part/ChecksumSHA1"),
    Member::element("CompleteMultipartUpload/Part/ChecksumSHA256"),
    Member::element("CompleteMultipartUpload/Part/ChecksumSHA512").missing(NO_SUM),
    Member::element("CompleteMultipartUpload/Part/ChecksumMD5").missing(NO_SUM),
    Member::element("CompleteMultipartUpload/Part/ChecksumXXHASH64").missing(NO_SUM),
    Member::element("CompleteMultipartUpload/Part/ChecksumXXHASH3").missing(NO_SUM),
    Member::element("CompleteMultipartUpload/Part/ChecksumXXHASH128").missing(NO_SUM),
];

/// Members of operations that delete objects.
pub(crate) const DELETE: &[Member] = &[
    Member::header("x-amz-mfa").missing("Multi-factor authentication is not implemented."),
    Member::header("x-amz-bypass-governance-retention").listed(BOOLEAN),
];

/// `true` and `false`.
pub(crate) const BOOLEAN: Listed = Listed::new(&["true", "false"], &[]).any_case();

/// Conditions of writes of objects.
pub(crate) const WRITE_CONDITIONS: &[Member] = &[
    Member::header("if-match").partly("one ETag, or `*`, which AWS does not have"),
    Member::header("if-none-match").partly("`*`, as in AWS"),
];

/// A hint for the size of the first blocks of an object.
pub(crate) const BLOCK_SIZE: &[Member] = &[Member::header(crate::types::BLOCK_SIZE_HEADER).extra()];

/// Members of GetObject and HeadObject.
pub(crate) const READ: &[Member] = &[
    Member::header("if-match"),
    Member::header("if-modified-since"),
    Member::header("if-none-match"),
    Member::header("if-unmodified-since"),
    Member::header("if-range").extra(),
    Member::header("range"),
    Member::header("x-amz-checksum-mode")
        .listed(Listed::new(&["ENABLED"], &[]).any_case().otherwise(invalid_header)),
    Member::query("partNumber"),
    Member::query("response-cache-control"),
    Member::query("response-content-disposition"),
    Member::query("response-content-encoding"),
    Member::query("response-content-language"),
    Member::query("response-content-type"),
    Member::query("response-expires"),
    VERSION,
];

/// Members of listings.
pub(crate) const LIST: &[Member] =
    &[Member::query("delimiter"), Member::query("encoding-type"), Member::query("prefix")];

/// Optional attributes of entries in listings of objects.
pub(crate) const OPTIONAL_ATTRIBUTES: &[Member] = &[Member::header("x-amz-optional-object-attributes")
    .moot("nothing is archived, so there is no restore to tell of")
    .listed(Listed::new(&["RestoreStatus"], &[]))];
