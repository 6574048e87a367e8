//! `x-amz-client-token`.

use http::HeaderMap;

use crate::error::{S3Error, S3Result};
use crate::headers::single;

/// The longest token (S3 API Reference, "RenameObject").
const LENGTH_MAX: usize = 64;

/// Parses the token by which a client recognises its own request: up to 64 characters of printable ASCII without the space.
///
/// # Errors
/// `InvalidArgument`.
pub fn parse_client_token(headers: &HeaderMap) -> S3Result<Option<String>> {
    let Some(token) = single(headers, "x-amz-client-token")? else { return Ok(None) };
    if (1..=LENGTH_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Some(token.to_owned()));
    }
    Err(S3Error::invalid_argument(
        "x-amz-client-token",
        token,
        "A client token has 1 to 64 characters in the ASCII range of 33 to 126",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;
    use http::HeaderValue;

    #[test]
    fn a_token_has_1_to_64_printable_characters() {
        let parse = |token: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-client-token", HeaderValue::from_str(token).unwrap());
            parse_client_token(&headers)
        };
        assert_eq!(parse_client_token(&HeaderMap::new()).unwrap(), None);
        for token in ["!", "~", &"x".repeat(64)] {
            assert_eq!(parse(token).unwrap().as_deref(), Some(token));
        }
        for token in ["", "a b", "é", &"x".repeat(65)] {
            assert_eq!(parse(token).unwrap_err().code(), ErrorCode::InvalidArgument, "{token}");
        }
    }
}
