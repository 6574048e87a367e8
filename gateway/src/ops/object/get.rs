//! GetObject.

use axum::body::Body;

use super::lock::show_lock;
use super::object_response::View;
use super::read::Read;
use crate::access::Authorised;
use crate::caller::Action;
use crate::declaration::{Declaration, Resource, Verb, groups};
use crate::error::{S3Error, S3Result};
use crate::ops::Operation;
use crate::ops::lifecycle::set_expiration_of;
use crate::request::{Request, RequestBody};
use crate::response::Response;

/// Extents that the lookup returns: 512 MiB in blocks of the usual size, in a reply of some ten KiB. Most objects then
/// need no second request to the metanode.
const EXTENTS: u32 = 64;

/// `GET /bucket/key`.
#[derive(Debug)]
pub(crate) struct GetObject {
    read: Read,
    view: View,
}

impl Operation for GetObject {
    const DECLARATION: &'static Declaration = &Declaration {
        members: &[groups::READ, groups::CUSTOMER_KEY, groups::COMMON],
        ..Declaration::new("GetObject", Verb::Get, Resource::Object)
    };
    const ACTION: Action = Action("s3:GetObject");

    fn parse(request: &Request) -> S3Result<Self> {
        let replaces_headers = request.query.pairs().iter().any(|(name, _)| name.starts_with("response-"));
        if replaces_headers && request.caller.holder().is_none() {
            return Err(S3Error::invalid_request(
                "Request specific response headers cannot be used for anonymous GET requests.",
            ));
        }
        Ok(Self { read: Read::parse(request)?, view: View::parse(request)? })
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        let found = self.read.find(gateway, EXTENTS).await?;
        let mut answer = self.view.answer(gateway, &found).await?;
        if self.read.is_of_current(&found) {
            set_expiration_of(&mut answer, gateway, &found.located.object);
        }
        show_lock(gateway, &request, &found.located.object, &mut answer).await?;
        *answer.body_mut() = Body::from(gateway.data.read(found.located).await?);
        Ok(answer)
    }
}
