//! Signs requests as clients do, with the functions of the crate, which its unit tests compare with the examples of AWS's
//! documentation.

use cairn_gateway::auth::{AmzDate, ChunkSigner, Scope, SecretKey, Signed, sha256_hex, string_to_sign};
use cairn_gateway::uri::Query;
use http::{HeaderMap, HeaderValue, Method};

use super::{ACCESS_KEY, Client, SECRET_KEY};

/// A body, and the form in which it is signed.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// Signed with its SHA-256.
    Signed(Vec<u8>),
    /// `UNSIGNED-PAYLOAD`.
    Unsigned(Vec<u8>),
    /// aws-chunked in signed chunks of this size, with an optional trailer.
    Chunked { data: Vec<u8>, chunk: usize, trailer: Option<(String, String)> },
    /// aws-chunked without signatures and with a trailer, as current SDKs send it.
    UnsignedTrailer { data: Vec<u8>, chunk: usize, trailer: (String, String) },
    /// These bytes, unchanged, with this `x-amz-content-sha256`, which need not match.
    Raw { data: Vec<u8>, sha256: String },
}

impl Body {
    fn sha256(&self) -> String {
        match self {
            Self::Signed(data) => sha256_hex(data),
            Self::Unsigned(_) => "UNSIGNED-PAYLOAD".into(),
            Self::Chunked { trailer: None, .. } => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".into(),
            Self::Chunked { trailer: Some(_), .. } => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".into(),
            Self::UnsignedTrailer { .. } => "STREAMING-UNSIGNED-PAYLOAD-TRAILER".into(),
            Self::Raw { sha256, .. } => sha256.clone(),
        }
    }

    /// Sets the headers that the framing requires.
    fn describe(&self, headers: &mut HeaderMap) {
        let (data, trailer) = match self {
            Self::Chunked { data, trailer, .. } => (data, trailer.as_ref()),
            Self::UnsignedTrailer { data, trailer, .. } => (data, Some(trailer)),
            Self::Signed(_) | Self::Unsigned(_) | Self::Raw { .. } => return,
        };
        let encoding = match headers.get("content-encoding") {
            Some(encoding) => format!("{},aws-chunked", encoding.to_str().unwrap()),
            None => "aws-chunked".into(),
        };
        headers.insert("content-encoding", encoding.parse().unwrap());
        headers.insert("x-amz-decoded-content-length", data.len().into());
        if let Some((name, _)) = trailer {
            headers.insert("x-amz-trailer", name.parse().unwrap());
        }
    }

    /// The bytes on the wire.
    fn frame(self, mut signer: ChunkSigner) -> Vec<u8> {
        match self {
            Self::Signed(data) | Self::Unsigned(data) | Self::Raw { data, .. } => data,
            Self::Chunked { data, chunk, trailer } => {
                let mut wire = Vec::new();
                for piece in data.chunks(chunk).chain([&[][..]]) {
                    let signature = signer.next_chunk(&sha256_hex(piece)).as_str().to_owned();
                    wire.extend(format!("{:x};chunk-signature={signature}\r\n", piece.len()).bytes());
                    wire.extend(piece);
                    wire.extend(if piece.is_empty() { &b""[..] } else { b"\r\n" });
                }
                if let Some((name, value)) = trailer {
                    let signature = signer.trailer(&format!("{name}:{value}\n")).as_str().to_owned();
                    wire.extend(format!("{name}:{value}\r\nx-amz-trailer-signature:{signature}\r\n").bytes());
                }
                wire.extend(b"\r\n");
                wire
            }
            Self::UnsignedTrailer { data, chunk, trailer: (name, value) } => {
                let mut wire = Vec::new();
                for piece in data.chunks(chunk) {
                    wire.extend(format!("{:x}\r\n", piece.len()).bytes());
                    wire.extend(piece);
                    wire.extend(b"\r\n");
                }
                wire.extend(format!("0\r\n{name}:{value}\r\n\r\n").bytes());
                wire
            }
        }
    }
}

fn scope(client: &Client, date: &AmzDate) -> Scope {
    Scope { day: date.day().to_owned(), region: client.region.clone(), service: "s3".into() }
}

/// Adds date, payload hash and `Authorization` to the headers, and returns the bytes to send as the body. The signature
/// does not cover the headers in `unsigned`.
pub(crate) fn sign(
    client: &Client,
    method: &Method,
    path: &str,
    query: &str,
    headers: &mut HeaderMap,
    unsigned: &[&str],
    body: Body,
) -> Vec<u8> {
    let date = AmzDate::of(client.env.now()).unwrap();
    let payload = body.sha256();
    headers.insert("x-amz-date", date.as_str().parse().unwrap());
    headers.insert("x-amz-content-sha256", payload.parse().unwrap());
    body.describe(headers);
    let mut names: Vec<String> = headers.keys().map(|name| name.as_str().to_owned()).collect();
    names.retain(|name| !unsigned.contains(&name.as_str()));
    names.sort();
    let canonical = Signed {
        method,
        raw_path: path,
        query: &Query::parse(query).unwrap_or_default(),
        headers,
        signed_headers: &names,
        payload: &payload,
    }
    .canonical_request()
    .unwrap_or_default();
    let scope = scope(client, &date);
    let key = SecretKey::new(SECRET_KEY).signing_key(&scope);
    let signature = key.sign(&string_to_sign(date.as_str(), &scope, &canonical));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={}, Signature={}",
        names.join(";"),
        signature.as_str()
    );
    headers.insert("authorization", HeaderValue::try_from(authorization).unwrap());
    body.frame(ChunkSigner::new(key, date, scope, signature))
}

/// The query of a presigned request. `query` contains the other parameters.
pub(crate) fn presign(client: &Client, method: &Method, path: &str, query: &str, expires_s: u64) -> String {
    let date = AmzDate::of(client.env.now()).unwrap();
    let scope = scope(client, &date);
    let credential = format!("{ACCESS_KEY}/{scope}").replace('/', "%2F");
    let separator = if query.is_empty() { "" } else { "&" };
    let query = format!(
        "{query}{separator}X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={}\
         &X-Amz-Expires={expires_s}&X-Amz-SignedHeaders=host",
        date.as_str()
    );
    let mut headers = HeaderMap::new();
    headers.insert("host", client.address.to_string().parse().unwrap());
    let canonical = Signed {
        method,
        raw_path: path,
        query: &Query::parse(&query).unwrap(),
        headers: &headers,
        signed_headers: &["host".to_owned()],
        payload: "UNSIGNED-PAYLOAD",
    }
    .canonical_request()
    .unwrap();
    let key = SecretKey::new(SECRET_KEY).signing_key(&scope);
    let signature = key.sign(&string_to_sign(date.as_str(), &scope, &canonical));
    format!("{query}&X-Amz-Signature={}", signature.as_str())
}
