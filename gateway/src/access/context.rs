//! The condition keys of a request.
//!
//! Sources: IAM User Guide, "AWS global condition context keys"; Service Authorization Reference, "Condition keys for Amazon S3".

use cairn_policy::Context;
use cairn_protocol::metadata::{FIRST_ACCOUNT_ID, Tags};

use crate::identity::{add_facts, add_holder};
use crate::request::Request;
use crate::types::{parse_lock_headers, parse_tag_header};

/// The condition keys of a request that need no look-up.
pub(super) fn of(request: &Request) -> Context {
    let mut context = Context::default();
    add_caller(request, &mut context);
    add_request(request, &mut context);
    context
}

fn add_caller(request: &Request, context: &mut Context) {
    add_facts(request.caller.facts(), request.is_tls, context);
    add_holder(request.caller.holder(), context);
}

/// Parameters and headers that are condition keys of S3 under their own names.
const PARAMETERS: [(&str, &str); 4] = [
    ("prefix", "s3:prefix"),
    ("delimiter", "s3:delimiter"),
    ("max-keys", "s3:max-keys"),
    ("versionId", "s3:VersionId"),
];
const HEADERS: [(&str, &str); 7] = [
    ("x-amz-object-lock-legal-hold", "s3:object-lock-legal-hold"),
    ("x-amz-object-lock-mode", "s3:object-lock-mode"),
    ("x-amz-object-lock-retain-until-date", "s3:object-lock-retain-until-date"),
    ("x-amz-acl", "s3:x-amz-acl"),
    ("x-amz-copy-source", "s3:x-amz-copy-source"),
    ("x-amz-metadata-directive", "s3:x-amz-metadata-directive"),
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
    let verified = request.caller.verified();
    context.add("s3:authType", if verified.is_presigned() { "REST-QUERY-STRING" } else { "REST-HEADER" });
    context.add("s3:ResourceAccount", FIRST_ACCOUNT_ID);
    // Tags that cannot be read are refused by the operation.
    add_tags(&parse_tag_header(&request.headers).ok().flatten().unwrap_or_default(), context);
}

/// The days of the retention that a request sets, each begun one counted as a whole.
fn remaining_retention_days(request: &Request) -> Option<u64> {
    const DAY_MS: u128 = 24 * 3600 * 1000;
    let time = request.caller.facts().time;
    let retention = parse_lock_headers(&request.headers, time).ok().flatten()?.retention?;
    u64::try_from(retention.until.since(time).as_millis().div_ceil(DAY_MS)).ok()
}

/// Adds the tags that a request sets.
pub(super) fn add_tags(tags: &Tags, context: &mut Context) {
    for (tag, value) in tags {
        context.add("s3:RequestObjectTagKeys", tag.as_str());
        context.add(&format!("s3:RequestObjectTag/{tag}"), value.as_str());
    }
}
