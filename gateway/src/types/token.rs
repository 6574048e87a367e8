//! Continuation tokens. A token encodes a position in a listing and is opaque to clients.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_protocol::metadata::ListMark;

use crate::error::{S3Error, S3Result};

/// Writes and reads continuation tokens.
#[derive(Debug)]
pub struct ListToken;

impl ListToken {
    /// The token of this position.
    pub fn of(mark: &ListMark) -> String {
        let (kind, text) = match mark {
            ListMark::Key(key) => ('k', key),
            ListMark::Prefix(prefix) => ('p', prefix),
        };
        URL_SAFE_NO_PAD.encode(format!("{kind}{text}"))
    }

    /// The token of the position after this key.
    pub fn of_key(key: &str) -> String {
        Self::of(&ListMark::Key(key.to_owned()))
    }

    /// The position of this token.
    ///
    /// # Errors
    /// `InvalidArgument` if this server did not make the token.
    pub fn parse(token: &str) -> S3Result<ListMark> {
        let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let mark = text.as_deref().and_then(|text| {
            text.strip_prefix('k')
                .map(|key| ListMark::Key(key.to_owned()))
                .or_else(|| text.strip_prefix('p').map(|prefix| ListMark::Prefix(prefix.to_owned())))
        });
        mark.ok_or_else(|| {
            S3Error::invalid_argument(
                "continuation-token",
                token,
                "The continuation token provided is incorrect",
            )
        })
    }

    /// The key of a token whose position is a key.
    ///
    /// # Errors
    /// `InvalidArgument` if this server did not make the token, or if its position is a common prefix.
    pub fn parse_key(token: &str) -> S3Result<String> {
        match Self::parse(token)? {
            ListMark::Key(key) => Ok(key),
            ListMark::Prefix(_) => Err(S3Error::invalid_argument(
                "continuation-token",
                token,
                "The continuation token provided is incorrect",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_as_its_position() {
        for mark in
            [ListMark::Key("a/b é\0".into()), ListMark::Prefix("a/".into()), ListMark::Key(String::new())]
        {
            assert_eq!(ListToken::parse(&ListToken::of(&mark)).unwrap(), mark);
        }
        assert_eq!(ListToken::parse_key(&ListToken::of_key("b")).unwrap(), "b");
    }

    #[test]
    fn other_texts_are_refused_as_tokens() {
        for token in ["", "!", "abc", "AAAA"] {
            assert!(ListToken::parse(token).is_err(), "{token}");
        }
        assert!(ListToken::parse_key(&ListToken::of(&ListMark::Prefix("a".into()))).is_err());
    }
}
