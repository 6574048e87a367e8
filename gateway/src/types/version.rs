//! `versionId`.

use crate::error::{S3Error, S3Result};
use crate::uri::Query;

/// Buckets have no versions, so the only version that can be asked for is `null`: the one object.
///
/// # Errors
/// `InvalidArgument` for another, in AWS's words.
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
    fn only_the_null_version_is_known() {
        for (query, good) in
            [("", true), ("versionId=null", true), ("versionId=", false), ("versionId=3HL4", false)]
        {
            assert_eq!(refuse_version(&Query::parse(query).unwrap()).is_ok(), good, "{query}");
        }
    }
}
