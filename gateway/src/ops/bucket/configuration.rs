//! Writes the documents that say how a bucket is configured.

use cairn_protocol::metadata::{ConfigurationKind, PutBucketConfiguration};

use crate::access::Authorised;
use crate::error::S3Result;
use crate::request::Request;

/// Replaces the document of a kind of the request's bucket, or removes it.
pub(super) async fn put(
    gateway: &Authorised,
    request: &Request,
    kind: ConfigurationKind,
    document: Option<String>,
) -> S3Result<()> {
    let put = PutBucketConfiguration {
        bucket: request.bucket()?.to_string(),
        kind,
        document,
        expected_revision: None,
        mutation: gateway.mutation(),
    };
    gateway.metadata.put_bucket_configuration(put).await?;
    Ok(())
}
