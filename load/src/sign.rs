//! Signs requests as clients do (AWS SigV4), with the functions by which gateways verify signatures, which their tests compare with the
//! examples of AWS's documentation.

use std::sync::{Mutex, PoisonError};

use cairn_gateway::auth::{AmzDate, Scope, SecretKey, Signed, SigningKey, string_to_sign};
use cairn_gateway::uri::Query;
use cairn_protocol::env::Timestamp;
use http::{HeaderMap, HeaderValue, Method};

/// The hash of a body that the signature does not cover.
pub(crate) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// An access key.
#[derive(Clone)]
pub struct Credentials {
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// The token of a session, if the key belongs to one.
    pub token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.access_key)
    }
}

/// Signs requests with one access key.
pub(crate) struct Signer {
    credentials: Credentials,
    region: String,
    /// The key of the latest day, which four hashes make.
    of_day: Mutex<Option<(String, SigningKey)>>,
}

impl Signer {
    pub(crate) fn new(credentials: Credentials, region: String) -> Self {
        Self { credentials, region, of_day: Mutex::default() }
    }

    /// Adds date, hash of the body and signature to a request's headers. `None` if a part of the request has no canonical form.
    pub(crate) fn sign(
        &self,
        (method, path, query): (&Method, &str, &str),
        headers: &mut HeaderMap,
        payload: &str,
        now: Timestamp,
    ) -> Option<()> {
        let date = AmzDate::of(now)?;
        headers.insert("x-amz-date", HeaderValue::from_str(date.as_str()).ok()?);
        headers.insert("x-amz-content-sha256", HeaderValue::from_str(payload).ok()?);
        if let Some(token) = &self.credentials.token {
            headers.insert("x-amz-security-token", HeaderValue::from_str(token).ok()?);
        }
        let mut names: Vec<String> = headers.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        let signed = Signed {
            method,
            raw_path: path,
            query: &Query::parse(query).ok()?,
            headers,
            signed_headers: &names,
            payload,
        };
        let canonical = signed.canonical_request().ok()?;
        let scope =
            Scope { day: date.day().to_owned(), region: self.region.clone(), service: "s3".to_owned() };
        let text = string_to_sign(date.as_str(), &scope, &canonical);
        let signature = self.with_key(&scope, |key| key.sign(&text));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={}, Signature={}",
            self.credentials.access_key,
            names.join(";"),
            signature.as_str()
        );
        headers.insert("authorization", HeaderValue::from_str(&authorization).ok()?);
        Some(())
    }

    fn with_key<T>(&self, scope: &Scope, use_key: impl FnOnce(&SigningKey) -> T) -> T {
        let mut of_day = self.of_day.lock().unwrap_or_else(PoisonError::into_inner);
        match &*of_day {
            Some((day, key)) if *day == scope.day => use_key(key),
            _ => {
                let key = SecretKey::new(&*self.credentials.secret_key).signing_key(scope);
                let result = use_key(&key);
                *of_day = Some((scope.day.clone(), key));
                result
            }
        }
    }
}
