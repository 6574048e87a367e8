use http::{HeaderName, HeaderValue};

use super::*;

fn route(
    method: Method,
    resource: Resource,
    query: &str,
    headers: &[&'static str],
) -> S3Result<&'static str> {
    let headers: HeaderMap =
        headers.iter().map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x"))).collect();
    find(&method, resource, &Query::parse(query)?, &headers).map(|route| route.name)
}

#[test]
fn each_request_leads_to_its_operation() {
    use Resource::{Bucket, Object, Service};
    for (method, resource, query, name) in [
        (Method::GET, Service, "", "ListBuckets"),
        (Method::GET, Service, "x-id=ListBuckets&max-buckets=5", "ListBuckets"),
        (Method::PUT, Bucket, "", "CreateBucket"),
        (Method::HEAD, Bucket, "", "HeadBucket"),
        (Method::DELETE, Bucket, "", "DeleteBucket"),
        (Method::GET, Bucket, "location", "GetBucketLocation"),
        (Method::GET, Bucket, "location=", "GetBucketLocation"),
        (Method::GET, Bucket, "versioning", "GetBucketVersioning"),
        (Method::GET, Bucket, "", "ListObjects"),
        (Method::GET, Bucket, "prefix=a&marker=b&x-custom=1", "ListObjects"),
        (Method::GET, Bucket, "list-type=2&prefix=a", "ListObjectsV2"),
        (Method::POST, Bucket, "delete", "DeleteObjects"),
        (Method::HEAD, Object, "partNumber=1", "HeadObject"),
        (Method::DELETE, Object, "versionId=null", "DeleteObject"),
        (Method::GET, Object, "tagging", "GetObjectTagging"),
        (Method::PUT, Object, "tagging", "PutObjectTagging"),
        (Method::GET, Object, "attributes", "GetObjectAttributes"),
    ] {
        assert_eq!(
            route(method.clone(), resource, query, &[]).unwrap(),
            name,
            "{method} {resource:?} {query}"
        );
    }
    assert_eq!(route(Method::PUT, Object, "x-id=CopyObject", &["x-amz-copy-source"]).unwrap(), "CopyObject");
}

#[test]
fn what_is_not_there_is_not_implemented_and_never_something_else() {
    use Resource::{Bucket, Object};
    for (method, resource, query) in [
        (Method::PUT, Bucket, "versioning"),
        (Method::PUT, Bucket, "policy"),
        (Method::PUT, Bucket, "acl"),
        (Method::DELETE, Bucket, "lifecycle"),
        (Method::GET, Bucket, "inventory"),
        (Method::GET, Bucket, "list-type=3"),
        (Method::GET, Bucket, "x-amz-unheard-of=1"),
        (Method::PUT, Object, "acl"),
        (Method::PUT, Object, "retention"),
        (Method::POST, Object, "restore"),
        (Method::POST, Object, "select&select-type=2"),
        (Method::PUT, Object, "append&position=0"),
        (Method::POST, Bucket, ""),
    ] {
        let error = route(method.clone(), resource, query, &[]).unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotImplemented, "{method} {resource:?} {query}");
    }
}

#[test]
fn methods_that_mean_nothing_are_not_allowed() {
    for (method, resource) in [
        (Method::POST, Resource::Object),
        (Method::PATCH, Resource::Object),
        (Method::PUT, Resource::Service),
    ] {
        assert_eq!(route(method, resource, "", &[]).unwrap_err().code(), ErrorCode::MethodNotAllowed);
    }
}

#[test]
fn a_parameter_that_is_there_twice_is_refused() {
    let error = route(Method::GET, Resource::Bucket, "prefix=a&prefix=b", &[]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
}

/// AWS passes over parameters that it does not know, also where they mean something elsewhere.
#[test]
fn a_parameter_that_means_nothing_here_is_passed_over() {
    use Resource::{Bucket, Object, Service};
    for (method, resource, query, name) in [
        (Method::GET, Bucket, "prefix=a&unheard-of=1", "ListObjects"),
        (Method::GET, Object, "unheard-of", "GetObject"),
        (Method::GET, Object, "prefix=a&max-keys=1", "GetObject"),
        (Method::PUT, Object, "response-content-type=a", "PutObject"),
        (Method::DELETE, Object, "_=1700000000", "DeleteObject"),
        (Method::GET, Service, "unheard-of=1", "ListBuckets"),
    ] {
        let found = route(method.clone(), resource, query, &[]);
        assert_eq!(found.unwrap(), name, "{method} {resource:?} {query}");
    }
}
