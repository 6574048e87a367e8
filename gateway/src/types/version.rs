//! `versionId`.

use cairn_protocol::metadata::VersionName;

use crate::error::{S3Error, S3Result};
use crate::uri::Query;

/// The header with a version id.
pub const VERSION_HEADER: http::HeaderName = http::HeaderName::from_static("x-amz-version-id");

/// The header that says that a version is a delete marker.
pub const DELETE_MARKER_HEADER: http::HeaderName = http::HeaderName::from_static("x-amz-delete-marker");

/// The version that a request names; `None` for the current one.
///
/// # Errors
/// `InvalidArgument` with AWS's message for a text that is no version id.
pub fn parse_version(query: &Query) -> S3Result<Option<VersionName>> {
    query.get("versionId").map(|text| version_name("versionId", text)).transpose()
}

/// Reads a version id from the argument `name`.
///
/// # Errors
/// `InvalidArgument` with AWS's message for a text that is no version id.
pub fn version_name(name: &str, text: &str) -> S3Result<VersionName> {
    if text.is_empty() {
        return Err(S3Error::invalid_argument(name, "", "Version id cannot be the empty string"));
    }
    text.parse().map_err(|_| S3Error::invalid_argument(name, text, "Invalid version id specified"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_id_is_null_or_one_that_this_server_made() {
        let made = VersionName::Id { sequence: 7, version: cairn_protocol::id::VersionId(uuid::Uuid::nil()) };
        for (query, wanted) in [
            (String::new(), Some(None)),
            ("versionId=null".to_owned(), Some(Some(VersionName::Null))),
            (format!("versionId={made}"), Some(Some(made))),
            ("versionId=".to_owned(), None),
            ("versionId=3HL4".to_owned(), None),
        ] {
            assert_eq!(parse_version(&Query::parse(&query).unwrap()).ok(), wanted, "{query}");
        }
    }
}
