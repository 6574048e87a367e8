//! From a request's method, target and query to its operation.

mod headers;
mod target;

use headers::check_headers;
pub use target::{Resource, parse_target, virtual_bucket};

use http::{HeaderMap, Method};

use crate::auth::is_signature_parameter;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::{self, Handler, Operation, handle};
use crate::uri::Query;

/// What a route is for.
#[derive(Debug)]
pub struct Route {
    method: Method,
    resource: Resource,
    /// What must be there besides for this route to be meant.
    when: &'static [When],
    /// Query parameters that the operation understands.
    parameters: &'static [&'static str],
    /// Headers of Cairn's own that it reads.
    own_headers: &'static [&'static str],
    /// The operation's name.
    pub name: &'static str,
    /// The operation.
    pub handler: Handler,
}

/// What tells one operation from another on the same method and target.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// A query parameter is there.
    Query(&'static str),
    /// A query parameter has this value.
    QueryIs(&'static str, &'static str),
    /// A header is there.
    Header(&'static str),
}

impl Route {
    /// The route to an operation.
    pub const fn to<O: Operation>(
        method: Method,
        resource: Resource,
        when: &'static [When],
        parameters: &'static [&'static str],
    ) -> Self {
        let own_headers = O::HEADERS;
        Self { method, resource, when, parameters, own_headers, name: O::NAME, handler: handle::<O> }
    }

    fn is_meant(&self, method: &Method, resource: Resource, query: &Query, headers: &HeaderMap) -> bool {
        self.method == *method
            && self.resource == resource
            && self.when.iter().all(|when| match when {
                When::Query(name) => query.has(name),
                When::QueryIs(name, value) => query.get(name) == Some(value),
                When::Header(name) => headers.contains_key(*name),
            })
    }

    /// Refuses what would change the meaning of the request if it were understood.
    ///
    /// # Errors
    /// `NotImplemented` naming the header, or `AccessDenied`.
    pub fn check_headers(&self, headers: &HeaderMap) -> S3Result<()> {
        check_headers(headers, self.own_headers)
    }

    fn understands(&self, name: &str) -> bool {
        self.parameters.contains(&name)
            || self.when.iter().any(|when| match when {
                When::Query(known) | When::QueryIs(known, _) => *known == name,
                When::Header(_) => false,
            })
    }
}

/// All routes. Within a method and resource the more special come first.
const TABLES: [&[Route]; 4] =
    [ops::multipart::ROUTES, ops::object::ROUTES, ops::bucket::ROUTES, ops::service::ROUTES];

/// The operation that is meant.
///
/// # Errors
/// `NotImplemented` for a subresource of S3 that is not there, `MethodNotAllowed`, or
/// `InvalidArgument` for a parameter that is there twice.
pub fn find(
    method: &Method,
    resource: Resource,
    query: &Query,
    headers: &HeaderMap,
) -> S3Result<&'static Route> {
    if let Some(name) = query.repeated() {
        return Err(S3Error::invalid_argument(name, "", "The query parameter is there more than once."));
    }
    let route =
        TABLES.iter().copied().flatten().find(|route| route.is_meant(method, resource, query, headers));
    let unknown = query
        .pairs()
        .iter()
        .map(|(name, _)| name.as_str())
        .find(|name| changes_meaning(name) && !route.is_some_and(|route| route.understands(name)));
    match (route, unknown) {
        (_, Some(name)) => Err(S3Error::not_implemented(format!(
            "The query parameter {name:?} implies functionality that is not implemented for this request"
        ))),
        (Some(route), None) => Ok(route),
        (None, None) if *method == Method::POST && resource == Resource::Bucket => {
            Err(S3Error::not_implemented("Uploads by HTML forms (POST Object) are not implemented"))
        }
        (None, None) => Err(S3Error::new(ErrorCode::MethodNotAllowed)
            .detail("Method", method.as_str())
            .detail("ResourceType", resource.name())),
    }
}

/// What S3 knows as a subresource, or as a parameter that makes another operation of a request: those
/// named in the API reference's request syntaxes
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>).
const SUBRESOURCES: &[&str] = &[
    "abac",
    "accelerate",
    "acl",
    "analytics",
    "append",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "list-type",
    "location",
    "logging",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "partNumber",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// Whether a parameter means something to S3, so that it cannot be passed over like others: a subresource,
/// or what could stand in a header.
fn changes_meaning(name: &str) -> bool {
    let is_header = name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"));
    SUBRESOURCES.contains(&name) || (is_header && !is_signature_parameter(name))
}

#[cfg(test)]
mod tests;
