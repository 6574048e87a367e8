//! GetBucketPolicy, PutBucketPolicy, DeleteBucketPolicy, GetBucketPolicyStatus.

use axum::body::Body as AnswerBody;
use cairn_policy::document::BUCKET_POLICY_SIZE_MAX;
use cairn_policy::public::is_public;
use cairn_policy::{Kind, Policy};
use cairn_protocol::metadata::{BucketRef, ConfigurationKind, FindPrincipals};
use http::{HeaderValue, StatusCode, header};

use super::configuration::put;
use super::principals;
use crate::access::Authorised;
use crate::caller::Action;
use crate::declaration::{Body, Declaration, Member, Resource, Verb, When, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::identity::condition_keys;
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};

/// Only identities of the account that owns the bucket have anything to do with its policy, whatever the policy says (S3 API
/// Reference, "PutBucketPolicy", "Permissions").
fn check_account(gateway: &Authorised, request: &Request) -> S3Result<()> {
    let owner = gateway.bucket_owner()?;
    if request.caller.account().is_some_and(|account| account.id == owner.id) {
        return Ok(());
    }
    Err(S3Error::new(ErrorCode::MethodNotAllowed)
        .detail("Method", request.declaration.method.method().as_str())
        .detail("ResourceType", "POLICY"))
}

/// The policy as it was put.
async fn stored(gateway: &Authorised, request: &Request) -> S3Result<String> {
    let bucket = request.bucket()?.to_string();
    let found = gateway.metadata.get_bucket_configurations(BucketRef { bucket: bucket.clone() }).await?;
    let policy = found.configurations.into_iter().find(|found| found.kind == ConfigurationKind::Policy);
    let none = || S3Error::new(ErrorCode::NoSuchBucketPolicy).detail("BucketName", bucket);
    Ok(policy.ok_or_else(none)?.document)
}

/// `GET /bucket?policy`.
#[derive(Debug)]
pub(super) struct GetBucketPolicy;

impl Operation for GetBucketPolicy {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("policy")],
        members: &[groups::BUCKET],
        ..Declaration::new("GetBucketPolicy", Verb::Get, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:GetBucketPolicy");

    fn parse(_: &Request) -> S3Result<Self> {
        Ok(Self)
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        check_account(gateway, &request)?;
        let mut answer = Response::new(AnswerBody::from(stored(gateway, &request).await?));
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(answer)
    }
}

/// `GET /bucket?policyStatus`.
#[derive(Debug)]
pub(super) struct GetBucketPolicyStatus;

impl Operation for GetBucketPolicyStatus {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("policyStatus")],
        members: &[groups::BUCKET],
        ..Declaration::new("GetBucketPolicyStatus", Verb::Get, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:GetBucketPolicyStatus");

    fn parse(_: &Request) -> S3Result<Self> {
        Ok(Self)
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        let text = stored(gateway, &request).await?;
        // A policy that was accepted once and cannot be read any more allows nothing.
        let is_public = Policy::parse(&text, Kind::Bucket(request.bucket()?.as_str()))
            .is_ok_and(|policy| is_public(&policy));
        Ok(response::xml("PolicyStatus", |xml| xml.value("IsPublic", is_public)))
    }
}

/// `DELETE /bucket?policy`.
#[derive(Debug)]
pub(super) struct DeleteBucketPolicy;

impl Operation for DeleteBucketPolicy {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("policy")],
        members: &[groups::BUCKET],
        ..Declaration::new("DeleteBucketPolicy", Verb::Delete, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:DeleteBucketPolicy");

    fn parse(_: &Request) -> S3Result<Self> {
        Ok(Self)
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        check_account(gateway, &request)?;
        put(gateway, &request, ConfigurationKind::Policy, None).await?;
        Ok(response::empty(StatusCode::NO_CONTENT))
    }
}

/// `PUT /bucket?policy`.
#[derive(Debug)]
pub(super) struct PutBucketPolicy {
    /// Whether the caller agrees to lose the permission to change the policy again.
    confirmed: bool,
}

impl Operation for PutBucketPolicy {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("policy")],
        body: Body::Data,
        members: &[groups::BUCKET, &[Member::header("x-amz-confirm-remove-self-bucket-access")]],
        ..Declaration::new("PutBucketPolicy", Verb::Put, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:PutBucketPolicy");

    fn parse(request: &Request) -> S3Result<Self> {
        if request.payload_spec()?.length > BUCKET_POLICY_SIZE_MAX as u64 {
            return Err(malformed("Policy exceeds the maximum allowed document size.").closing());
        }
        let confirmed = match request.header("x-amz-confirm-remove-self-bucket-access")? {
            None => false,
            Some(text) if text.eq_ignore_ascii_case("false") => false,
            Some(text) if text.eq_ignore_ascii_case("true") => true,
            Some(text) => {
                let name = "x-amz-confirm-remove-self-bucket-access";
                return Err(S3Error::invalid_argument(name, text, "The value must be true or false."));
            }
        };
        Ok(Self { confirmed })
    }

    async fn run(self, gateway: &Authorised, request: Request, body: RequestBody) -> S3Result<Response> {
        check_account(gateway, &request)?;
        let bucket = gateway.bucket().await?;
        let text = body.text(&request, BUCKET_POLICY_SIZE_MAX).await?;
        if text.is_empty() {
            return Err(S3Error::new(ErrorCode::MissingRequestBodyError));
        }
        let policy = Policy::parse(&text, Kind::Bucket(request.bucket()?.as_str()))
            .map_err(|error| malformed(error.to_string()))?;
        // A statement that denies under a condition on a key that no request has here would never deny.
        condition_keys::check(&text).map_err(|unfilled| match unfilled.is_of_aws() {
            true => S3Error::not_implemented(format!("The policy cannot be kept: {unfilled}.")),
            false => malformed(format!("Policy has an invalid condition key: {unfilled}")),
        })?;
        check_principals(gateway, &policy).await?;
        let blocked = bucket.rules().is_none_or(|rules| rules.blocks.block_public_policy);
        if blocked && is_public(&policy) {
            return Err(S3Error::with_message(
                ErrorCode::AccessDenied,
                "Access Denied: public policies are blocked by the BlockPublicPolicy block public access setting.",
            ));
        }
        if !self.confirmed && !gateway.keeps_policy(&policy) {
            return Err(S3Error::invalid_request(
                "The policy would take away your permission to change it. Send \
                 x-amz-confirm-remove-self-bucket-access: true if you mean it.",
            ));
        }
        put(gateway, &request, ConfigurationKind::Policy, Some(text)).await?;
        Ok(response::empty(StatusCode::NO_CONTENT))
    }
}

fn malformed(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::with_message(ErrorCode::MalformedPolicy, message)
}

/// Every principal that a policy names must exist.
async fn check_principals(gateway: &Authorised, policy: &Policy) -> S3Result<()> {
    let invalid = || malformed("Invalid principal in policy");
    let named = principals::named_in(policy).ok_or_else(invalid)?;
    if named.is_empty() {
        return Ok(());
    }
    let names = named.iter().map(|named| named.name.clone()).collect();
    let found = gateway.metadata.find_principals(FindPrincipals { names }).await?;
    let exists = |named: &principals::Named| {
        found.iter().any(|found| {
            found.name == named.name && named.path.as_ref().is_none_or(|path| *path == found.path)
        })
    };
    if named.iter().all(exists) { Ok(()) } else { Err(invalid()) }
}
