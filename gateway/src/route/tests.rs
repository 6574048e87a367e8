//! Promises about routes: each request of S3 finds its operation, and no other.

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
    find(&method, resource, &Query::parse(query)?, &headers).map(|route| route.declaration.name)
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
fn missing_operations_are_refused_and_never_taken_for_another_one() {
    use Resource::{Bucket, Object};
    for (method, resource, query, words) in [
        (Method::PUT, Bucket, "replication", "PutBucketReplication"),
        (Method::PUT, Bucket, "inventory&id=1", "PutBucketInventoryConfiguration"),
        (Method::PUT, Object, "annotation&annotationName=a", "PutObjectAnnotation"),
        (Method::POST, Object, "restore", "RestoreObject"),
        (Method::POST, Object, "select&select-type=2", "SelectObjectContent"),
        (Method::GET, Object, "torrent", "GetObjectTorrent"),
        (Method::POST, Object, "futureThing", "futureThing"),
        (Method::POST, Bucket, "futureThing=1", "futureThing"),
        (Method::POST, Bucket, "", "POST Object"),
    ] {
        let error = route(method.clone(), resource, query, &[]).unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotImplemented, "{method} {resource:?} {query}");
        assert!(error.message().contains(words), "{error}");
    }
}

/// The order of the tables has no effect: the selectors decide.
#[test]
fn of_several_matching_operations_the_one_with_most_selectors_is_chosen() {
    use Resource::{Bucket, Object};
    let copy = &["x-amz-copy-source"][..];
    for (method, resource, query, headers, name) in [
        (Method::PUT, Object, "partNumber=1&uploadId=a", copy, "UploadPartCopy"),
        (Method::PUT, Object, "partNumber=1&uploadId=a", &[], "UploadPart"),
        (Method::PUT, Object, "partNumber=1", &[], "PutObject"),
        (Method::PUT, Object, "tagging", copy, "PutObjectTagging"),
        (Method::GET, Bucket, "metrics", &[], "ListBucketMetricsConfigurations"),
        (Method::GET, Bucket, "metrics&id=1", &[], "GetBucketMetricsConfiguration"),
        (Method::GET, Bucket, "id=1", &[], "ListObjects"),
        (Method::DELETE, Bucket, "metrics&id=1", &[], "DeleteBucketMetricsConfiguration"),
        (Method::DELETE, Bucket, "cors", &[], "DeleteBucketCors"),
        (Method::PUT, Bucket, "acl", &[], "PutBucketAcl"),
        (Method::PUT, Object, "acl", &[], "PutObjectAcl"),
    ] {
        let found = route(method.clone(), resource, query, headers);
        assert_eq!(found.unwrap(), name, "{method} {resource:?} {query}");
    }
}

#[test]
fn methods_without_an_operation_are_not_allowed() {
    for (method, resource) in [
        (Method::POST, Resource::Object),
        (Method::PATCH, Resource::Object),
        (Method::PUT, Resource::Service),
    ] {
        assert_eq!(route(method, resource, "", &[]).unwrap_err().code(), ErrorCode::MethodNotAllowed);
    }
}

#[test]
fn a_repeated_parameter_is_refused() {
    let error = route(Method::GET, Resource::Bucket, "prefix=a&prefix=b", &[]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
}
