//! HeadObject.

use super::lock::show_lock;
use super::object_response::View;
use super::read::Read;
use crate::access::Authorised;
use crate::caller::Action;
use crate::declaration::{Declaration, Resource, Verb, groups};
use crate::error::S3Result;
use crate::ops::Operation;
use crate::ops::lifecycle::set_expiration_of;
use crate::request::{Request, RequestBody};
use crate::response::Response;

/// `HEAD /bucket/key`.
#[derive(Debug)]
pub(crate) struct HeadObject {
    read: Read,
    view: View,
}

impl Operation for HeadObject {
    const DECLARATION: &'static Declaration = &Declaration {
        members: &[groups::READ, groups::CUSTOMER_KEY, groups::COMMON],
        ..Declaration::new("HeadObject", Verb::Head, Resource::Object)
    };
    const ACTION: Action = Action("s3:GetObject");

    fn parse(request: &Request) -> S3Result<Self> {
        Ok(Self { read: Read::parse(request)?, view: View::parse(request)? })
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        let found = self.read.find(gateway, 0).await?;
        let mut answer = self.view.answer(gateway, &found).await?;
        if self.read.is_of_current(&found) {
            set_expiration_of(&mut answer, gateway, &found.located.object);
        }
        show_lock(gateway, &request, &found.located.object, &mut answer).await?;
        Ok(answer)
    }
}
