//! The operations of S3: one file each, a folder per resource, all of one shape.
//!
//! A request is parsed into the operation's type, the caller is authorised for its action, and the operation runs. Each
//! file declares which members of S3's model the operation has. Each folder has a table of its operations, and
//! [`unbuilt`] lists the operations that do not exist yet.

use std::sync::Arc;

use cairn_protocol::metadata::Tags;
use futures_util::future::BoxFuture;

use crate::access::{Authorised, Pending, Permission, Permissions};
use crate::caller::Action;
use crate::declaration::Declaration;
use crate::error::S3Result;
use crate::gateway::Gateway;
use crate::request::{Request, RequestBody};
use crate::response::Response;

pub(crate) mod acl;
pub(crate) mod bucket;
pub(crate) mod lifecycle;
pub(crate) mod lock;
pub(crate) mod multipart;
pub(crate) mod object;
mod public_access;
pub(crate) mod service;
pub(crate) mod unbuilt;

/// An operation.
pub(crate) trait Operation: Sized + Send + 'static {
    /// The members of S3's model that the operation has, and which of them work. It can read nothing else of a request.
    const DECLARATION: &'static Declaration;

    /// The permission that the operation needs.
    const ACTION: Action;

    /// Parses the head of the request. The body is not read yet.
    ///
    /// # Errors
    /// The error of S3 for the first member that is wrong.
    fn parse(request: &Request) -> S3Result<Self>;

    /// All permissions that the operation needs, which are checked before the body is read. An operation that needs others than
    /// its action on its target says so here.
    fn permissions(&self, request: &Request) -> Permissions {
        Permissions::one(Permission::on_target(Self::ACTION.0, request))
    }

    /// Runs the operation. Conditions that are cheap to check are checked before the body is read.
    fn run(
        self,
        gateway: &Authorised,
        request: Request,
        body: RequestBody,
    ) -> impl Future<Output = S3Result<Response>> + Send;
}

/// An operation whose permissions depend on its body. It has no means of acting before it has asked for them.
pub(crate) trait DeferredOperation: Sized + Send + 'static {
    /// As that of [`Operation`].
    const DECLARATION: &'static Declaration;

    /// Parses the head of the request. The body is not read yet.
    ///
    /// # Errors
    /// The error of S3 for the first member that is wrong.
    fn parse(request: &Request) -> S3Result<Self>;

    /// Runs the operation.
    fn run(
        self,
        pending: Pending,
        request: Request,
        body: RequestBody,
    ) -> impl Future<Output = S3Result<Response>> + Send;
}

/// An operation as an entry of the route tables.
pub(crate) type Handler = fn(Arc<Gateway>, Request, RequestBody) -> BoxFuture<'static, S3Result<Response>>;

/// The handler of an operation.
pub(crate) fn handle<O: Operation>(
    gateway: Arc<Gateway>,
    request: Request,
    body: RequestBody,
) -> BoxFuture<'static, S3Result<Response>> {
    Box::pin(async move {
        let pending = Pending::new(&gateway.authority, &request);
        pending.check_expected_owner().await?;
        let operation = O::parse(&request)?;
        let authorised = pending.with(operation.permissions(&request), &Tags::new()).await?;
        operation.run(&authorised, request, body).await
    })
}

/// The handler of an operation whose permissions depend on its body.
pub(crate) fn handle_deferred<O: DeferredOperation>(
    gateway: Arc<Gateway>,
    request: Request,
    body: RequestBody,
) -> BoxFuture<'static, S3Result<Response>> {
    Box::pin(async move {
        let pending = Pending::new(&gateway.authority, &request);
        pending.check_expected_owner().await?;
        O::parse(&request)?.run(pending, request, body).await
    })
}

/// An operation that is implemented.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// The members of S3's model that the operation has.
    pub declaration: &'static Declaration,
    /// The function that runs it.
    pub handler: Handler,
}

impl Route {
    /// The entry of an operation's type.
    pub(crate) const fn to<O: Operation>() -> Self {
        Self { declaration: O::DECLARATION, handler: handle::<O> }
    }

    /// The entry of the type of an operation whose permissions depend on its body.
    pub(crate) const fn deferred<O: DeferredOperation>() -> Self {
        Self { declaration: O::DECLARATION, handler: handle_deferred::<O> }
    }
}
