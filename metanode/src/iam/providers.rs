//! Providers of OpenID Connect.

use cairn_protocol::iam::{
    AccountRef, CreateOidcProvider, DeleteOidcProvider, EntityKind, IamError, OidcProvider, OidcProviderRef,
    UpdateOidcProvider,
};
use futures_util::FutureExt;

use super::{Effect, Identities, account, arns, exists, invalid, no_such};
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
        let url = without_scheme(&url)?;
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
        let url = without_scheme(&request.url)?;
        let mut reader = self.store.read().await?;
        let number = account(&mut reader, &request.account).await?;
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
        let url = without_scheme(&url)?;
        self.change(mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let number = account(tx, &id).await?;
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
        let url = without_scheme(&url)?;
        self.change(mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let number = account(tx, &id).await?;
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

/// The URL without `https://`, as ARNs have it.
fn without_scheme(url: &str) -> Result<String, IamError> {
    let rest = url.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
    let good = |rest: &&str| {
        let printable = rest.bytes().all(|byte| byte.is_ascii_graphic());
        !rest.is_empty() && url.len() <= URL_MAX && printable && !rest.contains(['?', '#', '@'])
    };
    let wrong =
        || invalid(format!("the URL of a provider is https://… without a query, up to {URL_MAX} characters"));
    rest.filter(good).map(str::to_owned).ok_or_else(wrong)
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
        arn: arns::oidc_provider(account, &provider.url),
        url: format!("https://{}", provider.url),
        client_ids: provider.client_ids,
        thumbprints: provider.thumbprints,
        created_at: provider.created_at,
    }
}
