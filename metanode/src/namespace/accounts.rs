//! What an account configures for all of its buckets, and which principals exist.

use cairn_protocol::env::Env;
use cairn_protocol::metadata::{
    AccountConfigurationRef, ConfigurationKind, FIND_PRINCIPALS_MAX, FindPrincipals, FoundPrincipal,
    MetadataError, PutAccountConfiguration,
};

use super::{Namespace, malformed};
use crate::store::{self, Lane};

impl Namespace {
    pub(super) async fn get_account_configuration(
        &self,
        request: AccountConfigurationRef,
    ) -> Result<Option<String>, MetadataError> {
        let mut reader = self.store.read().await?;
        Ok(store::configurations::of_account(&mut reader, &request.account, request.kind).await?)
    }

    pub(super) async fn put_account_configuration(
        &self,
        request: PutAccountConfiguration,
    ) -> Result<(), MetadataError> {
        if request.kind != ConfigurationKind::PublicAccessBlock {
            return Err(malformed("an account has no configuration of this kind"));
        }
        let (env, access) = (self.env.clone(), self.access.clone());
        // As for a document of a bucket: after the commit and before the answer.
        let done = move |()| access.advance();
        self.store.write_then(Lane::Client, move |tx| Box::pin(put(tx, request, env)), done).await
    }

    pub(super) async fn find_principals(
        &self,
        request: FindPrincipals,
    ) -> Result<Vec<FoundPrincipal>, MetadataError> {
        if request.names.len() > FIND_PRINCIPALS_MAX {
            return Err(malformed("too many principals in one call"));
        }
        Ok(self.identities.find_principals(request.names).await?)
    }
}

async fn put(
    tx: &mut store::Connection,
    request: PutAccountConfiguration,
    env: Env,
) -> Result<(), MetadataError> {
    let PutAccountConfiguration { account, kind, document, mutation } = request;
    if store::mutations::find::<()>(tx, mutation).await?.is_some() {
        return Ok(());
    }
    if store::iam::accounts::find(tx, &account).await?.is_none() {
        return Err(malformed("there is no such account"));
    }
    match document {
        Some(document) => store::configurations::put_of_account(tx, &account, kind, &document).await?,
        None => store::configurations::delete_of_account(tx, &account, kind).await?,
    }
    store::mutations::remember(tx, mutation, &(), env.now()).await?;
    Ok(())
}
