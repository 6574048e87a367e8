//! The documents of a provider: its configuration, and its keys.
//!
//! Accounts configure the URLs of providers, so a fetch must not serve to reach what they could not reach otherwise. It is a GET
//! without parameters over HTTPS, follows no redirect, is short in time and size, and nobody sees the answer.

use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use reqwest::{Client, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Provider;
use super::trust::client_config;

/// How long a document may take. A client waits for it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Upper limit of a document, in bytes. Those of large providers have some thousand.
const DOCUMENT_MAX: usize = 128 << 10;

/// Upper limit of a provider's keys. Providers have few, and each look-up of a key passes through them.
const KEYS_MAX: usize = 100;

/// The part of a provider's configuration that is needed (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    jwks_uri: String,
}

/// Fetches the keys of a provider. The error says why not, in words for the log.
pub(super) async fn keys(provider: &Provider) -> Result<JwkSet, String> {
    let issuer = provider.url.trim_end_matches('/');
    let base = allowed(issuer, false)?;
    let is_local = base.scheme() == "http";
    let tls = client_config(&provider.thumbprints).map_err(|error| error.to_string())?;
    let builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    let builder = if is_local { builder.no_proxy() } else { builder };
    let client = builder.build().map_err(|error| error.to_string())?;

    let url = allowed(&format!("{issuer}/.well-known/openid-configuration"), false)?;
    let configuration: Configuration = get(&client, url).await?;
    if configuration.issuer.trim_end_matches('/') != issuer {
        return Err(format!("its configuration is that of the issuer {}", configuration.issuer));
    }
    let keys: JwkSet = get(&client, allowed(&configuration.jwks_uri, !is_local)?).await?;
    if keys.keys.len() > KEYS_MAX {
        return Err(format!("it has more than {KEYS_MAX} keys"));
    }
    Ok(keys)
}

/// A URL that may be fetched: over HTTPS, or over HTTP on this machine.
fn allowed(text: &str, only_https: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text} is no URL: {error}"))?;
    let is_local = url.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_local && !only_https => Ok(url),
        _ => Err(format!("{text} is not https://")),
    }
}

async fn get<T: DeserializeOwned>(client: &Client, url: Url) -> Result<T, String> {
    let place = url.to_string();
    let answer = client.get(url).header("accept", "application/json").send().await;
    let mut answer = answer.map_err(|error| format!("{place}: {}", cairn_protocol::rpc::describe(&error)))?;
    if !answer.status().is_success() {
        return Err(format!("{place} answers {}", answer.status()));
    }
    let mut document = Vec::new();
    loop {
        let chunk = answer.chunk().await;
        match chunk.map_err(|error| format!("{place}: {}", cairn_protocol::rpc::describe(&error)))? {
            Some(chunk) if document.len() + chunk.len() > DOCUMENT_MAX => {
                return Err(format!("{place} has more than {DOCUMENT_MAX} bytes"));
            }
            Some(chunk) => document.extend_from_slice(&chunk),
            None => break,
        }
    }
    serde_json::from_slice(&document).map_err(|error| format!("{place}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for good in
            ["https://id.example.com/a", "http://127.0.0.1:8080", "http://[::1]:1/x", "http://localhost"]
        {
            assert!(allowed(good, false).is_ok(), "{good}");
        }
        for wrong in [
            "http://id.example.com",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "x",
        ] {
            assert!(allowed(wrong, false).is_err(), "{wrong}");
        }
        assert!(
            allowed("http://127.0.0.1/keys", true).is_err(),
            "a provider elsewhere cannot name this machine"
        );
    }
}
