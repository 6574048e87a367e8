//! `versionId`.

use crate::error::{S3Error, S3Result};
use crate::uri::Query;

/// Refuses every `versionId` except `null`. Buckets are not versioned, so the id of each object's only version is `null`.
///
/// # Errors
/// `InvalidArgument` with AWS's message for another version.
pub fn refuse_version(query: &Query) -> S3Result<()> {
    match query.get("versionId") {
        None | Some("null") => Ok(()),
        Some("") => Err(S3Error::invalid_argument("versionId", "", "Version id cannot be the empty string")),
        Some(other) => Err(S3Error::invalid_argument("versionId", other, "Invalid version id specified")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_the_only_version() {
        for (query, good) in
            [("", true), ("versionId=null", true), ("versionId=", false), ("versionId=3HL4", false)]
        {
            assert_eq!(refuse_version(&Query::parse(query).unwrap()).is_ok(), good, "{query}");
        }
    }
}
