//! The operations of S3: one file each, a folder per resource, all of one shape.
//!
//! A request is parsed into the operation's type, the caller is authorised for its action, and it is
//! run. What S3 knows of the operation is declared beside it; each folder has a table of its operations, and
//! [`unbuilt`] has those that are not there.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::caller::Action;
use crate::declaration::Declaration;
use crate::error::S3Result;
use crate::gateway::Gateway;
use crate::request::{Request, RequestBody};
use crate::response::Response;

pub(crate) mod acl;
pub(crate) mod bucket;
pub(crate) mod multipart;
pub(crate) mod object;
pub(crate) mod service;
pub(crate) mod unbuilt;

/// An operation.
pub(crate) trait Operation: Sized + Send + 'static {
    /// What S3 knows of it, and what of that is done. It can read nothing else of a request.
    const DECLARATION: &'static Declaration;

    /// The permission that it needs.
    const ACTION: Action;

    /// Reads everything but the body.
    ///
    /// # Errors
    /// What is wrong with the request.
    fn parse(request: &Request) -> S3Result<Self>;

    /// Does it. Conditions that cost little are checked before the body is read.
    fn run(
        self,
        gateway: &Gateway,
        request: Request,
        body: RequestBody,
    ) -> impl Future<Output = S3Result<Response>> + Send;
}

/// An operation, as the route tables hold it.
pub(crate) type Handler = fn(Arc<Gateway>, Request, RequestBody) -> BoxFuture<'static, S3Result<Response>>;

/// The handler of an operation.
pub(crate) fn handle<O: Operation>(
    gateway: Arc<Gateway>,
    request: Request,
    body: RequestBody,
) -> BoxFuture<'static, S3Result<Response>> {
    Box::pin(async move {
        let operation = O::parse(&request)?;
        request.caller.authorise(O::ACTION)?;
        operation.run(&gateway, request, body).await
    })
}

/// An operation that is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// What S3 knows of it.
    pub declaration: &'static Declaration,
    /// The operation.
    pub handler: Handler,
}

impl Route {
    /// The route to an operation.
    pub(crate) const fn to<O: Operation>() -> Self {
        Self { declaration: O::DECLARATION, handler: handle::<O> }
    }
}
