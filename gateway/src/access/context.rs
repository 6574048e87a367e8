//! The condition keys of a request.
//!
//! Sources: IAM User Guide, "AWS global condition context keys"; Service Authorization Reference, "Condition keys for Amazon S3".
//! `identity::condition_keys` lists those that are filled here.

use std::borrow::Cow;
use std::sync::Arc;

use cairn_policy::Context;
use cairn_protocol::metadata::Tags;

use super::bucket::BucketAccess;
use super::permission::Permission;
use crate::identity::{add_facts, add_holder};
use crate::request::Request;
use crate::types::{parse_lock_headers, parse_tag_header};

/// The condition keys of a request that need no look-up of an object. `buckets` are those that it is about.
pub(super) fn of(request: &Request, buckets: &[Arc<BucketAccess>]) -> Context {
    let mut context = Context::default();
    add_caller(request, &mut context);
    add_request(request, &mut context);
    let target = request.bucket().ok();
    let bucket = buckets.iter().find(|bucket| target.is_some_and(|name| name.as_str() == bucket.info.bucket));
    if let Some(bucket) = bucket {
        add_resource_account(&bucket.info.owner.id, &mut context);
    }
    context
}

fn add_resource_account(account: &str, context: &mut Context) {
    context.add("s3:ResourceAccount", account);
    context.add("aws:ResourceAccount", account);
}

/// The condition keys for one permission of a request: `base`, with what the permission has of its own. `set` are the tags that the
/// request sets, `existing` those that the object has.
pub(super) fn with<'c>(
    base: &'c Context,
    permission: &Permission,
    owner: Option<&str>,
    set: &Tags,
    existing: Option<&Tags>,
) -> Cow<'c, Context> {
    let mut context = Cow::Borrowed(base);
    if owner.is_some() && base.single("s3:ResourceAccount") != owner {
        for key in ["s3:ResourceAccount", "aws:ResourceAccount"] {
            context.to_mut().remove(key);
        }
        add_resource_account(owner.unwrap_or_default(), context.to_mut());
    }
    if let Some(version) = permission.version.map(|version| version.to_string())
        && base.single("s3:VersionId") != Some(&version)
    {
        context.to_mut().remove("s3:VersionId");
        context.to_mut().add("s3:VersionId", version);
    }
    if !set.is_empty() {
        add_tags(set, permission, context.to_mut());
    }
    for (tag, value) in existing.into_iter().flatten() {
        context.to_mut().add(&format!("s3:ExistingObjectTag/{tag}"), value.as_str());
    }
    context
}

fn add_caller(request: &Request, context: &mut Context) {
    add_facts(request.caller.facts(), context);
    match request.caller.holder() {
        Some(holder) => add_holder(holder, context),
        None => {
            context.add("aws:userid", "anonymous");
            context.add("aws:PrincipalType", "Anonymous");
        }
    }
}

/// In the head of a CreateBucket, what its document says. No operation declares this header, so that no client can send it.
pub(crate) const LOCATION_CONSTRAINT: &str = "x-cairn-location-constraint";

/// Parameters and headers that are condition keys of S3 under their own names.
const PARAMETERS: [(&str, &str); 4] = [
    ("prefix", "s3:prefix"),
    ("delimiter", "s3:delimiter"),
    ("max-keys", "s3:max-keys"),
    ("versionId", "s3:VersionId"),
];
const HEADERS: [(&str, &str); 17] = [
    (LOCATION_CONSTRAINT, "s3:LocationConstraint"),
    ("if-match", "s3:if-match"),
    ("if-none-match", "s3:if-none-match"),
    ("x-amz-object-lock-legal-hold", "s3:object-lock-legal-hold"),
    ("x-amz-object-lock-mode", "s3:object-lock-mode"),
    ("x-amz-object-lock-retain-until-date", "s3:object-lock-retain-until-date"),
    ("x-amz-acl", "s3:x-amz-acl"),
    ("x-amz-content-sha256", "s3:x-amz-content-sha256"),
    ("x-amz-copy-source", "s3:x-amz-copy-source"),
    ("x-amz-grant-full-control", "s3:x-amz-grant-full-control"),
    ("x-amz-grant-read", "s3:x-amz-grant-read"),
    ("x-amz-grant-read-acp", "s3:x-amz-grant-read-acp"),
    ("x-amz-grant-write", "s3:x-amz-grant-write"),
    ("x-amz-grant-write-acp", "s3:x-amz-grant-write-acp"),
    ("x-amz-metadata-directive", "s3:x-amz-metadata-directive"),
    ("x-amz-object-ownership", "s3:x-amz-object-ownership"),
    ("x-amz-storage-class", "s3:x-amz-storage-class"),
];

fn add_request(request: &Request, context: &mut Context) {
    for (parameter, key) in PARAMETERS {
        if let Some(value) = request.query.get(parameter) {
            context.add(key, value);
        }
    }
    for (header, key) in HEADERS {
        if let Ok(Some(value)) = request.header(header) {
            context.add(key, value);
        }
    }
    if let Some(days) = remaining_retention_days(request) {
        context.add("s3:object-lock-remaining-retention-days", days.to_string());
    }
    // An anonymous request has no authentication whose kind, version or age there could be.
    if let Some(verified) = request.caller.verified() {
        let kind = if verified.is_presigned() { "REST-QUERY-STRING" } else { "REST-HEADER" };
        context.add("s3:authType", kind);
        context.add("s3:signatureversion", verified.version().name());
        if let Some(signed_at) = verified.signed_at() {
            let age = request.caller.facts().time.since(signed_at);
            context.add("s3:signatureAge", age.as_millis().to_string());
        }
    }
    // Tags that cannot be read are refused by the operation.
    add_object_tags(&parse_tag_header(&request.headers).ok().flatten().unwrap_or_default(), context);
    if let Some(creates) = creates_object(request.declaration.name) {
        context.add("s3:ObjectCreationOperation", creates.to_string());
    }
}

/// Whether an operation that needs `s3:PutObject` makes an object; `None` for others. The steps of a multipart upload make none before its
/// completion (S3 User Guide, "Enforce conditional writes on Amazon S3 buckets").
fn creates_object(operation: &str) -> Option<bool> {
    match operation {
        "PutObject" | "CopyObject" | "CompleteMultipartUpload" => Some(true),
        "CreateMultipartUpload" | "UploadPart" | "UploadPartCopy" => Some(false),
        _ => None,
    }
}

/// The days of the retention that a request sets, each begun one counted as a whole.
fn remaining_retention_days(request: &Request) -> Option<u64> {
    const DAY_MS: u128 = 24 * 3600 * 1000;
    let time = request.caller.facts().time;
    let retention = parse_lock_headers(&request.headers, time).ok().flatten()?.retention?;
    u64::try_from(retention.until.since(time).as_millis().div_ceil(DAY_MS)).ok()
}

/// Adds the tags that a request sets: those of a bucket under the keys that all services of AWS share.
fn add_tags(tags: &Tags, permission: &Permission, context: &mut Context) {
    if permission.object().is_some() {
        return add_object_tags(tags, context);
    }
    for (tag, value) in tags {
        context.add("aws:TagKeys", tag.as_str());
        context.add(&format!("aws:RequestTag/{tag}"), value.as_str());
    }
}

fn add_object_tags(tags: &Tags, context: &mut Context) {
    for (tag, value) in tags {
        context.add("s3:RequestObjectTagKeys", tag.as_str());
        context.add(&format!("s3:RequestObjectTag/{tag}"), value.as_str());
    }
}
