//! What answers tell of lifecycle rules: `x-amz-expiration`, `x-amz-abort-date` and `x-amz-abort-rule-id`.
//!
//! Source: API reference, PutObject, HeadObject and CreateMultipartUpload. They are computed from the rules that the gateway
//! remembers of the bucket; a change of the rules takes effect at once, as one of access does.

use cairn_lifecycle::class::STANDARD;
use cairn_lifecycle::{Rule, Subject, plan};
use cairn_protocol::env::Timestamp;
use cairn_protocol::metadata::{ObjectVersion, Tags, UploadInfo};
use http::HeaderName;

use crate::access::Authorised;
use crate::response::{self, Response};
use crate::uri;

const EXPIRATION: HeaderName = HeaderName::from_static("x-amz-expiration");
const ABORT_DATE: HeaderName = HeaderName::from_static("x-amz-abort-date");
const ABORT_RULE: HeaderName = HeaderName::from_static("x-amz-abort-rule-id");

/// The last second that has a form in headers, in milliseconds: the end of the year 9999.
const LAST_DATE: Timestamp = Timestamp(253_402_300_799_000);

/// What decides when a new object expires.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewObject<'a> {
    pub(crate) key: &'a str,
    pub(crate) tags: &'a Tags,
    pub(crate) length: u64,
    pub(crate) made_at: Timestamp,
}

/// Sets `x-amz-expiration` of an object that was just made current, if a rule will expire it.
pub(crate) fn set_expiration(answer: &mut Response, gateway: &Authorised, object: NewObject<'_>) {
    let Some(bucket) = gateway.known_bucket() else { return };
    let Some((set, day)) = bucket.lifecycle() else { return };
    let NewObject { key, tags, length, made_at } = object;
    let plan = plan(set, Subject::Current { key, tags, length, made_at, class: STANDARD }, day);
    if let Some(planned) = plan.expiration() {
        let (date, rule) = (date(planned.due), encoded(planned.rule));
        response::set(answer, EXPIRATION, format!("expiry-date=\"{date}\", rule-id=\"{rule}\""));
    }
}

/// The same for the current version of an object.
pub(crate) fn set_expiration_of(answer: &mut Response, gateway: &Authorised, object: &ObjectVersion) {
    let ObjectVersion { key, tags, length, modified_at, .. } = object;
    set_expiration(answer, gateway, NewObject { key, tags, length: *length, made_at: *modified_at });
}

/// Sets when an upload is aborted and by which rule, if one will abort it.
pub(crate) fn set_abort(answer: &mut Response, gateway: &Authorised, upload: &UploadInfo) {
    let Some(bucket) = gateway.known_bucket() else { return };
    let Some((set, day)) = bucket.lifecycle() else { return };
    let subject = Subject::Upload { key: &upload.key, begun_at: upload.initiated_at };
    let plan = plan(set, subject, day);
    if let Some(planned) = plan.planned.iter().min_by_key(|planned| planned.due) {
        response::set(answer, ABORT_DATE, date(planned.due));
        response::set(answer, ABORT_RULE, encoded(planned.rule));
    }
}

fn date(at: Timestamp) -> String {
    response::http_date(at.min(LAST_DATE))
}

/// The id of a rule in a header: encoded as in a URL.
fn encoded(rule: &Rule) -> String {
    uri::encode(rule.id.as_bytes(), false)
}
