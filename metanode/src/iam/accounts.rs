//! Accounts.

use cairn_protocol::iam::{
    AccountEntry, AccountRef, CreateAccount, DeleteAccount, EntityKind, IamError, KeyOwner, ListAccounts,
    NewAccount, Page,
};
use cairn_protocol::metadata::{Account, FIRST_ACCOUNT_ID};
use futures_util::FutureExt;

use super::{Effect, Identities, invalid, keys, no_such, page, page_size, random};
use crate::store::iam::accounts;

/// Attempts to find ids that no account has. Two in a row are taken once in 10^12 accounts.
const ATTEMPTS: u32 = 4;

const NAME_MAX: usize = 50;

impl Identities {
    pub(super) async fn create_account(&self, request: CreateAccount) -> Result<NewAccount, IamError> {
        let CreateAccount { name, mutation } = request;
        if !(1..=NAME_MAX).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err(invalid(format!("the name of an account has 1 to {NAME_MAX} characters")));
        }
        let (env, vault) = (self.env.clone(), self.vault.clone());
        let made = self.change(mutation, Effect::Adds, move |tx, now| {
            async move {
                for _ in 0..ATTEMPTS {
                    let account = Account {
                        id: random::account_id(&env),
                        canonical_id: random::canonical_id(&env),
                        display_name: name.clone(),
                    };
                    if let Some(number) = accounts::insert(tx, &account, now).await? {
                        let key = keys::make(tx, (number, None), keys::fresh(&env), &vault, now).await?;
                        return Ok((account.id, key));
                    }
                }
                Err(IamError::Internal)
            }
            .boxed()
        });
        let (account, access_key): (String, String) = made.await?;
        let owner = KeyOwner { account: account.clone(), user: None };
        let key = self.reveal_key(owner, &access_key).await?;
        Ok(NewAccount { account: self.get_account(AccountRef { account }).await?, key })
    }

    pub(super) async fn get_account(&self, request: AccountRef) -> Result<AccountEntry, IamError> {
        let mut reader = self.store.read().await?;
        let found = accounts::find(&mut reader, &request.account).await?;
        found.map(|(_, entry)| entry).ok_or_else(|| no_such(EntityKind::Account, &request.account))
    }

    pub(super) async fn list_accounts(&self, request: ListAccounts) -> Result<Page<AccountEntry>, IamError> {
        let (rows, size) = page_size(request.max);
        let mut reader = self.store.read().await?;
        let found = accounts::list(&mut reader, &request.after.unwrap_or_default(), rows).await?;
        Ok(page(found, size, |entry| entry.account.id.clone(), |entry| entry))
    }

    pub(super) async fn delete_account(&self, request: DeleteAccount) -> Result<(), IamError> {
        let DeleteAccount { account: id, mutation } = request;
        if id == FIRST_ACCOUNT_ID {
            let reason = "the first account stays: the root credentials belong to it".to_owned();
            return Err(IamError::DeleteConflict { reason });
        }
        self.change(mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let number = super::account(tx, &id).await?;
                if accounts::is_in_use(tx, number).await? {
                    let reason = format!(
                        "account {id} has buckets, users, groups, roles, policies or providers; delete them first"
                    );
                    return Err(IamError::DeleteConflict { reason });
                }
                Ok(accounts::delete(tx, number).await?)
            }
            .boxed()
        })
        .await
    }
}
