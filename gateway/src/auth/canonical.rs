//! The canonical request of SigV4, in S3's variant.
//!
//! Source: Amazon S3 API Reference, "Signature Calculations for the Authorization Header". S3 differs from
//! other services: the path is encoded once, and never normalised.

use http::{HeaderMap, Method};

use super::key::sha256_hex;
use super::scope::Scope;
use crate::error::S3Result;
use crate::uri::{self, Query};

/// The parts of a request that its signature covers.
#[derive(Debug)]
pub struct Signed<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path as it was sent.
    pub raw_path: &'a str,
    /// The query, without `X-Amz-Signature`.
    pub query: &'a Query,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The names of the signed headers, in lower case, in the client's order.
    pub signed_headers: &'a [String],
    /// The value of `x-amz-content-sha256`, or `UNSIGNED-PAYLOAD`.
    pub payload: &'a str,
}

impl Signed<'_> {
    /// The canonical request, as bytes: the value of a header need not be UTF-8, and each of its bytes is signed.
    ///
    /// # Errors
    /// `InvalidURI` if the path has an invalid escape.
    pub fn canonical_request(&self) -> S3Result<Vec<u8>> {
        let mut out = Vec::new();
        for line in [self.method.as_str(), &canonical_path(self.raw_path)?, &canonical_query(self.query)] {
            out.extend(line.as_bytes());
            out.push(b'\n');
        }
        for name in self.signed_headers {
            out.extend(name.as_bytes());
            out.push(b':');
            out.extend(canonical_value(self.headers, name));
            out.push(b'\n');
        }
        out.push(b'\n');
        out.extend(self.signed_headers.join(";").as_bytes());
        out.push(b'\n');
        out.extend(self.payload.as_bytes());
        Ok(out)
    }
}

/// The string to sign for a canonical request.
pub fn string_to_sign(date: &str, scope: &Scope, canonical_request: &[u8]) -> String {
    format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256_hex(canonical_request))
}

fn canonical_path(raw: &str) -> S3Result<String> {
    let path = uri::encode(&uri::decode(raw)?, true);
    Ok(if path.is_empty() { "/".to_owned() } else { path })
}

fn canonical_query(query: &Query) -> String {
    let mut pairs: Vec<(String, String)> = query
        .pairs()
        .iter()
        .filter(|(name, _)| name != "X-Amz-Signature")
        .map(|(name, value)| (uri::encode(name.as_bytes(), false), uri::encode(value.as_bytes(), false)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// All values of a header, joined by commas. Each is trimmed, and its runs of white space become one space.
fn canonical_value(headers: &HeaderMap, name: &str) -> Vec<u8> {
    let values: Vec<Vec<u8>> = headers
        .get_all(name)
        .iter()
        .map(|value| {
            let words = value.as_bytes().split(|byte| matches!(byte, b' ' | b'\t'));
            words.filter(|word| !word.is_empty()).collect::<Vec<&[u8]>>().join(&b' ')
        })
        .collect();
    values.join(&b',')
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn paths_are_encoded_once_and_not_normalised() {
        for (raw, canonical) in [
            ("", "/"),
            ("/", "/"),
            ("/a//b/../c/./", "/a//b/../c/./"),
            ("/a%20b", "/a%20b"),
            ("/a%2fb", "/a/b"),
            ("/a%252Fb", "/a%252Fb"),
            ("/a+b$c(d)", "/a%2Bb%24c%28d%29"),
            ("/%e9", "/%E9"),
        ] {
            assert_eq!(canonical_path(raw).unwrap(), canonical, "{raw}");
        }
    }

    #[test]
    fn queries_are_sorted_after_encoding() {
        let query = Query::parse("b=2&a=%2F&a=1&acl&A=x+y&X-Amz-Signature=f").unwrap();
        assert_eq!(canonical_query(&query), "A=x%20y&a=%2F&a=1&acl=&b=2");
    }

    #[test]
    fn values_are_trimmed_joined_and_their_spaces_collapsed() {
        let map = headers(&[("x-a", "  b   c "), ("x-a", "d"), ("x-b", "\"e  f\"")]);
        assert_eq!(canonical_value(&map, "x-a"), b"b c,d");
        assert_eq!(canonical_value(&map, "x-b"), b"\"e f\"");
        assert_eq!(canonical_value(&map, "x-none"), b"");
    }

    /// "Example: GET Object" of the page named above.
    #[test]
    fn the_canonical_request_is_that_of_the_documentation() {
        let map = headers(&[
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("x-amz-date", "20130524T000000Z"),
        ]);
        let names: Vec<String> =
            ["host", "range", "x-amz-content-sha256", "x-amz-date"].map(str::to_owned).into();
        let signed = Signed {
            method: &Method::GET,
            raw_path: "/test.txt",
            query: &Query::default(),
            headers: &map,
            signed_headers: &names,
            payload: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        };
        let request = signed.canonical_request().unwrap();
        assert_eq!(sha256_hex(&request), "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972");
    }
}
