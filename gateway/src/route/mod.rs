//! From a request's method, target and query to its operation.

mod target;

pub(crate) use target::{parse_target, virtual_bucket};

use http::{HeaderMap, Method};

use crate::auth::is_signature_parameter;
use crate::declaration::{Declaration, Resource, When};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::unbuilt::UNBUILT;
use crate::ops::{self, Route};
use crate::uri::Query;

/// All operations that are there.
const TABLES: [&[Route]; 4] =
    [ops::multipart::ROUTES, ops::object::ROUTES, ops::bucket::ROUTES, ops::service::ROUTES];

/// Everything that is declared, whether it is there or not.
pub(crate) fn declarations() -> impl Iterator<Item = &'static Declaration> {
    built().map(|route| route.declaration).chain(UNBUILT)
}

/// The operations that are there.
pub(crate) fn built() -> impl Iterator<Item = &'static Route> {
    TABLES.iter().copied().flatten()
}

/// Whether a query parameter means an operation of its own, wherever it stands: a subresource.
pub(crate) fn is_selector(name: &str) -> bool {
    // All versions of an object have one subresource, which selects none of them by itself.
    name == "versionId" || declarations().any(|declaration| declaration.has_subresource(name))
}

/// Whether a query parameter belongs to no operation: those of signatures, and those that begin with `x-`, which AWS
/// promises to ignore. Headers in the query (`x-amz-…`, `x-cairn-…`) are none of them.
pub(crate) fn is_harmless(name: &str) -> bool {
    let is_custom = name.starts_with("x-") && !name.starts_with("x-amz-") && !name.starts_with("x-cairn-");
    is_signature_parameter(name) || is_custom
}

/// The operation that is meant: of those that could be, the one that most of the request speaks for.
///
/// # Errors
/// `NotImplemented` for an operation of S3 that is not there, `MethodNotAllowed`, or `InvalidArgument` for a
/// parameter that is there twice.
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

/// How much of the request speaks for an operation: a subresource more than a header.
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

/// What is no operation of S3: a subresource that we do not know, or a method that means nothing here.
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
