//! Upload ids and part numbers in requests.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_protocol::id::UploadId;
use cairn_protocol::metadata::UploadRef;

use crate::error::{ErrorCode, S3Error, S3Result};
use crate::request::Request;
use crate::uri::Query;

/// The highest part number; the lowest is 1 (S3 User Guide, "Multipart upload limits").
pub(super) const PART_NUMBER_MAX: u32 = 10_000;

/// The upload's id as clients see it: an opaque text that needs no encoding in a URL.
pub(super) fn show_upload_id(upload: UploadId) -> String {
    URL_SAFE_NO_PAD.encode(upload.as_bytes())
}

/// Parses an upload's id. Returns `None` for a text that this server never returned as an id.
pub(super) fn parse_upload_id(text: &str) -> Option<UploadId> {
    UploadId::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?)
}

/// Reads the upload that the parameter `uploadId` names.
///
/// # Errors
/// `NoSuchUpload` if the text is not an upload's id.
pub(super) fn upload_ref(request: &Request) -> S3Result<UploadRef> {
    let id = request.query.get("uploadId").unwrap_or_default();
    let upload = parse_upload_id(id).ok_or_else(|| no_such_upload(id))?;
    Ok(UploadRef { bucket: request.bucket()?.to_string(), key: request.key()?.to_string(), upload })
}

/// The error `NoSuchUpload`, with the id.
pub(super) fn no_such_upload(id: &str) -> S3Error {
    S3Error::new(ErrorCode::NoSuchUpload).detail("UploadId", id)
}

/// Reads the parameter `partNumber`.
///
/// # Errors
/// `InvalidArgument`, with AWS's message.
pub(super) fn part_number(query: &Query) -> S3Result<u32> {
    let text = query.get("partNumber").unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && (1..=PART_NUMBER_MAX).contains(number));
    number.ok_or_else(|| {
        S3Error::invalid_argument(
            "partNumber",
            text,
            "Part number must be an integer between 1 and 10000, inclusive",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_upload_id_is_read_back_unchanged(bytes in any::<[u8; 16]>()) {
            let id = UploadId::from_slice(&bytes).unwrap();
            let shown = show_upload_id(id);
            prop_assert!(shown.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            prop_assert_eq!(parse_upload_id(&shown), Some(id));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
            let _ = parse_upload_id(&text);
        }
    }

    #[test]
    fn part_numbers_are_1_to_10000() {
        let parse = |text: &str| part_number(&Query::parse(&format!("partNumber={text}")).unwrap());
        assert_eq!(parse("1").unwrap(), 1);
        assert_eq!(parse("10000").unwrap(), 10_000);
        for text in ["", "0", "10001", "-1", "%2B1", "1.0", "one", "99999999999999999999"] {
            assert_eq!(parse(text).unwrap_err().code(), ErrorCode::InvalidArgument, "{text}");
        }
    }
}
