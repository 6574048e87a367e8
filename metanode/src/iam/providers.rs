//! Providers of OpenID Connect.

use cairn_protocol::iam::{
    AccountRef, CreateOidcProvider, DeleteOidcProvider, EntityKind, IamError, OidcProvider, OidcProviderRef,
    UpdateOidcProvider,
};
use futures_util::FutureExt;

use super::{Effect, Identities, account, arns, exists, invalid, no_such};
use crate::store::Connection;
use crate::store::iam::AccountNumber;
use crate::store::iam::providers::{self, Provider};

/// Upper limit of the providers of an account.
const PROVIDERS_MAX: usize = 100;

const URL_MAX: usize = 255;
const CLIENT_IDS_MAX: usize = 100;
const CLIENT_ID_MAX: usize = 255;
const THUMBPRINTS_MAX: usize = 5;

impl Identities {
    pub(super) async fn create_oidc_provider(
        &self,
        request: CreateOidcProvider,
    ) -> Result<OidcProvider, IamError> {
        let CreateOidcProvider { account: id, url, client_ids, thumbprints, mutation } = request;
        let url = stored(&url)?;
        self.change(mutation, Effect::Adds, move |tx, now| {
            async move {
                let number = account(tx, &id).await?;
                let provider = Provider { url, client_ids, thumbprints, created_at: now };
                check(&provider)?;
                if providers::list(tx, number).await?.len() >= PROVIDERS_MAX {
                    let reason = format!("an account has up to {PROVIDERS_MAX} OpenID Connect providers");
                    return Err(IamError::LimitExceeded { reason });
                }
                if !providers::insert(tx, number, &provider).await? {
                    return Err(exists(EntityKind::OidcProvider, &provider.url));
                }
                Ok(entry(&id, provider))
            }
            .boxed()
        })
        .await
    }

    pub(super) async fn get_oidc_provider(&self, request: OidcProviderRef) -> Result<OidcProvider, IamError> {
        let mut reader = self.store.read().await?;
        let number = account(&mut reader, &request.account).await?;
        let url = find_stored(&mut reader, number, &request.url).await?;
        let found = providers::find(&mut reader, number, &url).await?;
        let found = found.ok_or_else(|| no_such(EntityKind::OidcProvider, &url))?;
        Ok(entry(&request.account, found))
    }

    pub(super) async fn list_oidc_providers(
        &self,
        request: AccountRef,
    ) -> Result<Vec<OidcProvider>, IamError> {
        let mut reader = self.store.read().await?;
        let number = account(&mut reader, &request.account).await?;
        let found = providers::list(&mut reader, number).await?;
        Ok(found.into_iter().map(|provider| entry(&request.account, provider)).collect())
    }

    pub(super) async fn update_oidc_provider(
        &self,
        request: UpdateOidcProvider,
    ) -> Result<OidcProvider, IamError> {
        let UpdateOidcProvider { account: id, url, client_ids, thumbprints, mutation } = request;
        self.change(mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let number = account(tx, &id).await?;
                let url = find_stored(tx, number, &url).await?;
                let found = providers::find(tx, number, &url).await?;
                let mut provider = found.ok_or_else(|| no_such(EntityKind::OidcProvider, &url))?;
                provider.client_ids = client_ids.unwrap_or(provider.client_ids);
                provider.thumbprints = thumbprints.unwrap_or(provider.thumbprints);
                check(&provider)?;
                providers::update(tx, number, &provider).await?;
                Ok(entry(&id, provider))
            }
            .boxed()
        })
        .await
    }

    pub(super) async fn delete_oidc_provider(&self, request: DeleteOidcProvider) -> Result<(), IamError> {
        let DeleteOidcProvider { account: id, url, mutation } = request;
        self.change(mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let number = account(tx, &id).await?;
                let url = find_stored(tx, number, &url).await?;
                if !providers::delete(tx, number, &url).await? {
                    return Err(no_such(EntityKind::OidcProvider, &url));
                }
                Ok(())
            }
            .boxed()
        })
        .await
    }
}

/// The URL as it is stored: without `https://`. On this machine a provider may speak plain HTTP, and its URL is stored whole.
fn stored(url: &str) -> Result<String, IamError> {
    let wrong = || {
        let form = "the URL of a provider is https://… without a query, or http://… on this machine";
        invalid(format!("{form}, up to {URL_MAX} characters"))
    };
    let url = url.trim_end_matches('/');
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    let printable = rest.bytes().all(|byte| byte.is_ascii_graphic());
    if rest.is_empty() || url.len() > URL_MAX || !printable || rest.contains(['?', '#', '@']) {
        return Err(wrong());
    }
    match scheme {
        "https" => Ok(rest.to_owned()),
        "http" if is_local(rest) => Ok(url.to_owned()),
        _ => Err(wrong()),
    }
}

/// Whether a URL without its scheme is of this machine.
fn is_local(rest: &str) -> bool {
    let host = rest.split('/').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The URL as it is stored of a provider that is named by its URL, or as its ARN names it: without a scheme.
async fn find_stored(
    connection: &mut Connection,
    account: AccountNumber,
    url: &str,
) -> Result<String, IamError> {
    if url.contains("://") {
        return stored(url);
    }
    let local = format!("http://{url}");
    let is_local = is_local(url) && providers::find(connection, account, &local).await?.is_some();
    Ok(if is_local { local } else { url.to_owned() })
}

/// A stored URL without its scheme, as ARNs have it.
fn without_scheme(stored: &str) -> &str {
    stored.strip_prefix("http://").unwrap_or(stored)
}

fn check(provider: &Provider) -> Result<(), IamError> {
    let Provider { client_ids, thumbprints, .. } = provider;
    if client_ids.len() > CLIENT_IDS_MAX || thumbprints.len() > THUMBPRINTS_MAX {
        let reason =
            format!("a provider has up to {CLIENT_IDS_MAX} client ids and {THUMBPRINTS_MAX} thumbprints");
        return Err(IamError::LimitExceeded { reason });
    }
    if !client_ids.iter().all(|id| (1..=CLIENT_ID_MAX).contains(&id.chars().count())) {
        return Err(invalid(format!("a client id has 1 to {CLIENT_ID_MAX} characters")));
    }
    let is_sha1 = |text: &String| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !thumbprints.iter().all(is_sha1) {
        return Err(invalid("a thumbprint is a SHA-1 in 40 hexadecimal digits"));
    }
    Ok(())
}

fn entry(account: &str, provider: Provider) -> OidcProvider {
    OidcProvider {
        arn: arns::oidc_provider(account, without_scheme(&provider.url)),
        url: if provider.url.starts_with("http://") {
            provider.url
        } else {
            format!("https://{}", provider.url)
        },
        client_ids: provider.client_ids,
        thumbprints: provider.thumbprints,
        created_at: provider.created_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_providers_on_this_machine() {
        assert_eq!(stored("https://id.example.com/realms/a/").unwrap(), "id.example.com/realms/a");
        assert_eq!(stored("http://127.0.0.1:8080").unwrap(), "http://127.0.0.1:8080");
        assert_eq!(stored("http://[::1]:8080/a").unwrap(), "http://[::1]:8080/a");
        for wrong in [
            "",
            "id.example.com",
            "http://id.example.com",
            "http://localhost.example.com",
            "https://",
            "https://a?b",
        ] {
            assert!(stored(wrong).is_err(), "{wrong}");
        }
    }
}
