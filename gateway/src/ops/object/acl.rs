//! GetObjectAcl: the owner may do everything, and nobody else anything.

use bytes::Bytes;

use super::read::lookup;
use crate::caller::Action;
use crate::error::S3Result;
use crate::gateway::Gateway;
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{refuse_version, write_identity, write_owner};
use crate::xml::{NAMESPACE, XmlWriter};

/// `GET /bucket/key?acl`.
#[derive(Debug)]
pub struct GetObjectAcl;

impl Operation for GetObjectAcl {
    const NAME: &'static str = "GetObjectAcl";
    const ACTION: Action = Action("s3:GetObjectAcl");

    fn parse(request: &Request) -> S3Result<Self> {
        refuse_version(&request.query)?;
        Ok(Self)
    }

    async fn run(self, gateway: &Gateway, request: Request, _: RequestBody) -> S3Result<Response> {
        lookup(gateway, request.bucket()?, request.key()?).await?;
        Ok(response::document(write_acl()))
    }
}

/// The `<AccessControlPolicy>` of everything there is.
pub fn write_acl() -> Bytes {
    const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
    XmlWriter::document("AccessControlPolicy", Some(NAMESPACE), |xml| {
        write_owner(xml);
        xml.element("AccessControlList", |xml| {
            xml.element("Grant", |xml| {
                let user = [("xmlns:xsi", INSTANCE), ("xsi:type", "CanonicalUser")];
                xml.element_with("Grantee", &user, write_identity);
                xml.text("Permission", "FULL_CONTROL");
            });
        });
    })
}
