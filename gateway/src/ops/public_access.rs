//! The document that says which public access a bucket or an account blocks.

use crate::access::documents::PublicAccessBlock;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::response::{self, Response};
use crate::xml::Element;

/// Its root.
pub(super) const ROOT: &str = "PublicAccessBlockConfiguration";

/// Reads it. A setting that is missing is off.
///
/// # Errors
/// `MalformedXML` for a value that is neither true nor false.
pub(super) fn parse(document: &Element) -> S3Result<PublicAccessBlock> {
    let setting = |name| match document.optional(name)?.map(Element::trimmed).transpose()? {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(S3Error::new(ErrorCode::MalformedXML)),
    };
    Ok(PublicAccessBlock {
        block_public_acls: setting("BlockPublicAcls")?,
        ignore_public_acls: setting("IgnorePublicAcls")?,
        block_public_policy: setting("BlockPublicPolicy")?,
        restrict_public_buckets: setting("RestrictPublicBuckets")?,
    })
}

/// Writes it.
pub(super) fn write(block: PublicAccessBlock) -> Response {
    response::xml(ROOT, |xml| {
        xml.value("BlockPublicAcls", block.block_public_acls);
        xml.value("IgnorePublicAcls", block.ignore_public_acls);
        xml.value("BlockPublicPolicy", block.block_public_policy);
        xml.value("RestrictPublicBuckets", block.restrict_public_buckets);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml;

    #[test]
    fn settings_are_off_unless_they_are_said_to_be_on() {
        let read = |inner: &str| {
            let text = format!("<{ROOT}>{inner}</{ROOT}>");
            parse(&xml::parse(text.as_bytes(), ROOT).unwrap())
        };
        assert_eq!(read("").unwrap(), PublicAccessBlock::default());
        let some = read("<BlockPublicAcls>TRUE</BlockPublicAcls><IgnorePublicAcls>false</IgnorePublicAcls>")
            .unwrap();
        assert_eq!(some, PublicAccessBlock { block_public_acls: true, ..PublicAccessBlock::default() });
        assert_eq!(
            read("<BlockPublicAcls>yes</BlockPublicAcls>").unwrap_err().code(),
            ErrorCode::MalformedXML
        );
    }
}
