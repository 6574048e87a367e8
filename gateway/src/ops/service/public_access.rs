//! GetPublicAccessBlock, PutPublicAccessBlock, DeletePublicAccessBlock of an account, as S3 Control has them. They hold for all buckets of
//! the account.
//!
//! Source: S3 API Reference, "Amazon S3 Control".

use cairn_protocol::metadata::{AccountConfigurationRef, ConfigurationKind, PutAccountConfiguration};
use http::StatusCode;

use crate::access::Authorised;
use crate::access::documents::{Document, PublicAccessBlock};
use crate::caller::Action;
use crate::declaration::{Body, Declaration, Member, Resource, Verb, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::Operation;
use crate::ops::public_access::{ROOT, parse, write};
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};

const KIND: ConfigurationKind = ConfigurationKind::PublicAccessBlock;

const ACCOUNT: &[Member] = &[Member::header("x-amz-account-id").extra()];

/// The account of a request, which must be the caller's own.
fn account(request: &Request) -> S3Result<String> {
    let named = request.header("x-amz-account-id")?.unwrap_or_default();
    match request.caller.account() {
        Some(account) if account.id == named => Ok(account.id.clone()),
        Some(_) | None => Err(S3Error::new(ErrorCode::AccessDenied)),
    }
}

async fn put(gateway: &Authorised, account: String, document: Option<String>) -> S3Result<()> {
    let put = PutAccountConfiguration { account, kind: KIND, document, mutation: gateway.mutation() };
    Ok(gateway.metadata.put_account_configuration(put).await?)
}

/// `GET /v20180820/configuration/publicAccessBlock`.
#[derive(Debug)]
pub(super) struct GetAccountPublicAccessBlock(String);

impl Operation for GetAccountPublicAccessBlock {
    const DECLARATION: &'static Declaration = &Declaration {
        members: &[ACCOUNT],
        note: "GetPublicAccessBlock of S3 Control",
        ..Declaration::new("GetAccountPublicAccessBlock", Verb::Get, Resource::Account)
    };
    const ACTION: Action = Action("s3:GetAccountPublicAccessBlock");

    fn parse(request: &Request) -> S3Result<Self> {
        account(request).map(Self)
    }

    async fn run(self, gateway: &Authorised, _: Request, _: RequestBody) -> S3Result<Response> {
        let request = AccountConfigurationRef { account: self.0, kind: KIND };
        let document = gateway.metadata.get_account_configuration(request).await?;
        let none = || S3Error::new(ErrorCode::NoSuchPublicAccessBlockConfiguration);
        let block = PublicAccessBlock::read(&document.ok_or_else(none)?);
        Ok(write(block.map_err(|error| S3Error::internal(error.to_string()))?))
    }
}

/// `PUT /v20180820/configuration/publicAccessBlock`.
#[derive(Debug)]
pub(super) struct PutAccountPublicAccessBlock(String);

impl Operation for PutAccountPublicAccessBlock {
    const DECLARATION: &'static Declaration = &Declaration {
        body: Body::Document(ROOT),
        members: &[ACCOUNT, groups::PUBLIC_ACCESS],
        note: "PutPublicAccessBlock of S3 Control",
        ..Declaration::new("PutAccountPublicAccessBlock", Verb::Put, Resource::Account)
    };
    const ACTION: Action = Action("s3:PutAccountPublicAccessBlock");

    fn parse(request: &Request) -> S3Result<Self> {
        account(request).map(Self)
    }

    async fn run(self, gateway: &Authorised, request: Request, body: RequestBody) -> S3Result<Response> {
        let block = parse(&body.document(&request, ROOT).await?)?;
        put(gateway, self.0, Some(block.write())).await?;
        Ok(response::empty(StatusCode::CREATED))
    }
}

/// `DELETE /v20180820/configuration/publicAccessBlock`.
#[derive(Debug)]
pub(super) struct DeleteAccountPublicAccessBlock(String);

impl Operation for DeleteAccountPublicAccessBlock {
    const DECLARATION: &'static Declaration = &Declaration {
        members: &[ACCOUNT],
        note: "DeletePublicAccessBlock of S3 Control",
        ..Declaration::new("DeleteAccountPublicAccessBlock", Verb::Delete, Resource::Account)
    };
    const ACTION: Action = Action("s3:PutAccountPublicAccessBlock");

    fn parse(request: &Request) -> S3Result<Self> {
        account(request).map(Self)
    }

    async fn run(self, gateway: &Authorised, _: Request, _: RequestBody) -> S3Result<Response> {
        put(gateway, self.0, None).await?;
        Ok(response::empty(StatusCode::NO_CONTENT))
    }
}
