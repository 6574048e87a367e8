//! GetBucketVersioning, PutBucketVersioning.

use cairn_protocol::metadata::{BucketRef, SetVersioning, Versioning};
use http::StatusCode;

use crate::access::Authorised;
use crate::caller::Action;
use crate::declaration::{Body, Declaration, Member, Resource, Verb, When, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::xml::Element;

/// `GET /bucket?versioning`.
#[derive(Debug)]
pub(crate) struct GetBucketVersioning;

impl Operation for GetBucketVersioning {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("versioning")],
        members: &[groups::BUCKET],
        ..Declaration::new("GetBucketVersioning", Verb::Get, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:GetBucketVersioning");

    fn parse(_: &Request) -> S3Result<Self> {
        Ok(Self)
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        let info = gateway.metadata.get_bucket(BucketRef { bucket: request.bucket()?.to_string() }).await?;
        Ok(response::xml("VersioningConfiguration", |xml| match info.versioning {
            Versioning::Never => {}
            Versioning::Enabled => xml.text("Status", "Enabled"),
            Versioning::Suspended => xml.text("Status", "Suspended"),
        }))
    }
}

/// `PUT /bucket?versioning`.
#[derive(Debug)]
pub(crate) struct PutBucketVersioning;

impl Operation for PutBucketVersioning {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("versioning")],
        body: Body::Document("VersioningConfiguration"),
        members: &[
            groups::BUCKET,
            &[
                Member::header("x-amz-mfa").missing("Multi-factor authentication is not implemented."),
                Member::element("VersioningConfiguration/Status"),
                Member::element("VersioningConfiguration/MfaDelete").partly("`Disabled`"),
            ],
        ],
        ..Declaration::new("PutBucketVersioning", Verb::Put, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:PutBucketVersioning");

    fn parse(_: &Request) -> S3Result<Self> {
        Ok(Self)
    }

    async fn run(self, gateway: &Authorised, request: Request, body: RequestBody) -> S3Result<Response> {
        let versioning = parse_document(&body.document(&request, "VersioningConfiguration").await?)?;
        let (bucket, mutation) = (request.bucket()?.to_string(), gateway.mutation());
        gateway.metadata.set_versioning(SetVersioning { bucket, versioning, mutation }).await?;
        Ok(response::empty(StatusCode::OK))
    }
}

fn parse_document(document: &Element) -> S3Result<Versioning> {
    if let Some(mfa) = document.optional("MfaDelete")? {
        match mfa.trimmed()? {
            "Disabled" => {}
            "Enabled" => {
                return Err(S3Error::not_implemented(
                    "MFA delete is not implemented: nothing would ask for a second factor. Object Lock keeps versions \
                     from being deleted.",
                ));
            }
            _ => return Err(S3Error::new(ErrorCode::MalformedXML)),
        }
    }
    let Some(status) = document.optional("Status")? else {
        return Err(S3Error::new(ErrorCode::IllegalVersioningConfigurationException));
    };
    match status.trimmed()? {
        "Enabled" => Ok(Versioning::Enabled),
        "Suspended" => Ok(Versioning::Suspended),
        _ => Err(S3Error::new(ErrorCode::MalformedXML)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse;

    #[test]
    fn a_status_is_enabled_or_suspended_and_mfa_delete_is_refused() {
        for (inner, wanted) in [
            ("<Status>Enabled</Status>", Ok(Versioning::Enabled)),
            ("<Status>Suspended</Status><MfaDelete>Disabled</MfaDelete>", Ok(Versioning::Suspended)),
            ("<Status>enabled</Status>", Err(ErrorCode::MalformedXML)),
            ("", Err(ErrorCode::IllegalVersioningConfigurationException)),
            ("<MfaDelete>Disabled</MfaDelete>", Err(ErrorCode::IllegalVersioningConfigurationException)),
            ("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>", Err(ErrorCode::NotImplemented)),
            ("<Status>Enabled</Status><MfaDelete>x</MfaDelete>", Err(ErrorCode::MalformedXML)),
        ] {
            let text = format!("<VersioningConfiguration>{inner}</VersioningConfiguration>");
            let document = parse(text.as_bytes(), "VersioningConfiguration").unwrap();
            assert_eq!(parse_document(&document).map_err(|error| error.code()), wanted, "{inner}");
        }
    }
}
