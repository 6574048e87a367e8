//! Which principals of policies and ACLs exist.

use cairn_protocol::iam::HolderKind;
use cairn_protocol::metadata::{FoundPrincipal, PrincipalName};

use super::Identities;
use crate::store::iam::{accounts, holders};
use crate::store::{Connection, StoreError};

impl Identities {
    /// Those of some principals that exist, in the order in which they were asked for.
    pub(crate) async fn find_principals(
        &self,
        names: Vec<PrincipalName>,
    ) -> Result<Vec<FoundPrincipal>, StoreError> {
        let mut snapshot = self.store.snapshot().await?;
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            found.extend(find(&mut snapshot, name).await?);
        }
        Ok(found)
    }
}

async fn find(
    connection: &mut Connection,
    name: PrincipalName,
) -> Result<Option<FoundPrincipal>, StoreError> {
    let (account, kind, holder) = match &name {
        PrincipalName::CanonicalUser(id) => {
            let found = accounts::find_by_canonical_id(connection, id).await?;
            return Ok(found.map(|found| FoundPrincipal {
                name,
                account: found.account,
                path: String::new(),
            }));
        }
        PrincipalName::Account(account) => (account, HolderKind::User, None),
        PrincipalName::User(account, user) => (account, HolderKind::User, Some(user)),
        PrincipalName::Role(account, role) => (account, HolderKind::Role, Some(role)),
    };
    let Some((number, entry)) = accounts::find(connection, account).await? else { return Ok(None) };
    let path = match holder {
        None => String::new(),
        Some(holder) => {
            let Some(found) = holders::find(connection, number, kind, holder).await? else { return Ok(None) };
            // The look-up is by the name in small letters. Policies compare names exactly.
            if found.properties.name != *holder {
                return Ok(None);
            }
            found.properties.path
        }
    };
    Ok(Some(FoundPrincipal { name, account: entry.account, path }))
}
