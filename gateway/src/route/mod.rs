//! Finds the operation of a request by its method, resource, query and headers.

mod target;

pub(crate) use target::{parse_target, virtual_bucket};

use http::{HeaderMap, Method};

use crate::auth::is_signature_parameter;
use crate::declaration::{Declaration, Resource, When};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::unbuilt::UNBUILT;
use crate::ops::{self, Route};
use crate::uri::Query;

/// The tables of all implemented operations.
const TABLES: [&[Route]; 4] =
    [ops::multipart::ROUTES, ops::object::ROUTES, ops::bucket::ROUTES, ops::service::ROUTES];

/// All declared operations, implemented or not.
pub(crate) fn declarations() -> impl Iterator<Item = &'static Declaration> {
    built().map(|route| route.declaration).chain(UNBUILT)
}

/// The implemented operations.
pub(crate) fn built() -> impl Iterator<Item = &'static Route> {
    TABLES.iter().copied().flatten()
}

/// Whether a query parameter is a subresource, which selects an operation of its own.
pub(crate) fn is_selector(name: &str) -> bool {
    // `versionId` is a subresource that selects no operation by itself.
    name == "versionId" || declarations().any(|declaration| declaration.has_subresource(name))
}

/// Whether a query parameter belongs to no operation. These are the parameters of signatures, and those that begin with
/// `x-`, which AWS promises to ignore. Headers in the query (`x-amz-…`, `x-cairn-…`) are not among the latter.
pub(crate) fn is_harmless(name: &str) -> bool {
    let is_custom = name.starts_with("x-") && !name.starts_with("x-amz-") && !name.starts_with("x-cairn-");
    is_signature_parameter(name) || is_custom
}

/// Finds the operation of a request. If several match, the one whose selectors weigh most is chosen.
///
/// # Errors
/// `NotImplemented` for an operation of S3 that Cairn does not have, `MethodNotAllowed`, or `InvalidArgument` for a
/// parameter that occurs more than once.
pub(crate) fn find(
    method: &Method,
    resource: Resource,
    query: &Query,
    headers: &HeaderMap,
) -> S3Result<&'static Route> {
    if let Some(name) = query.repeated() {
        return Err(S3Error::invalid_argument(name, "", "The query parameter is there more than once."));
    }
    let is_meant = |declaration: &Declaration| is_meant(declaration, method, resource, query, headers);
    let found = declarations()
        .filter(|declaration| is_meant(declaration))
        .reduce(|best, other| if weight(other) > weight(best) { other } else { best });
    match found {
        Some(found) => built()
            .find(|route| route.declaration.name == found.name)
            .ok_or_else(|| S3Error::not_implemented(format!("{} is not implemented.", found.name))),
        None => Err(unknown(method, resource, query)),
    }
}

/// The sum of an operation's selectors, in which a query parameter counts more than a header.
fn weight(declaration: &Declaration) -> usize {
    let of_one = |when: &When| if matches!(when, When::Header(_)) { 1 } else { 2 };
    declaration.when.iter().map(of_one).sum()
}

fn is_meant(
    declaration: &Declaration,
    method: &Method,
    resource: Resource,
    query: &Query,
    headers: &HeaderMap,
) -> bool {
    declaration.method.method() == *method
        && declaration.resource == resource
        && declaration.when.iter().all(|when| match when {
            When::Query(name) | When::With(name) => query.has(name),
            When::QueryIs(name, value) => query.get(name) == Some(value),
            When::Header(name) => headers.contains_key(*name),
        })
}

/// The error for a request that matches no operation: it has an unknown subresource, or a method that the resource does not
/// have.
fn unknown(method: &Method, resource: Resource, query: &Query) -> S3Error {
    let is_write = [Method::PUT, Method::POST, Method::DELETE].contains(method);
    let parameter = query.pairs().iter().map(|(name, _)| name).find(|name| !is_harmless(name));
    match parameter {
        Some(name) if is_write || is_selector(name) => S3Error::not_implemented(format!(
            "The query parameter {name:?} implies functionality that is not implemented for this request"
        ))
        .detail("Parameter", name),
        None if *method == Method::POST && resource == Resource::Bucket => {
            S3Error::not_implemented("Uploads by HTML forms (POST Object) are not implemented")
        }
        Some(_) | None => S3Error::new(ErrorCode::MethodNotAllowed)
            .detail("Method", method.as_str())
            .detail("ResourceType", resource.name()),
    }
}

#[cfg(test)]
mod tests;
