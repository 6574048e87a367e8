//! GetObject.

use axum::body::Body;

use super::lock::show_lock;
use super::object_response::View;
use super::read::Read;
use crate::caller::Action;
use crate::declaration::{Declaration, Resource, Verb, groups};
use crate::error::S3Result;
use crate::gateway::Gateway;
use crate::ops::Operation;
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
        Ok(Self { read: Read::parse(request)?, view: View::parse(request)? })
    }

    async fn run(self, gateway: &Gateway, request: Request, _: RequestBody) -> S3Result<Response> {
        let found = self.read.find(gateway, EXTENTS).await?;
        let mut answer = self.view.answer(gateway, &found).await?;
        show_lock(gateway, &request, &found.located.object, &mut answer).await?;
        *answer.body_mut() = Body::from(gateway.data.read(found.located).await?);
        Ok(answer)
    }
}
