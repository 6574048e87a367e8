//! The account as a whole.

use cairn_protocol::iam::{AccountRef, KeyOwner, ListEntities, ListPolicies, PolicyScope};

use crate::query_protocol::{Answer, Answered, Call, Fault, Operation};

pub(super) const OPERATIONS: &[Operation] = &[
    ("GetAccountSummary", |call| Box::pin(summary(call))),
    ("ListAccountAliases", |call| Box::pin(aliases(call))),
];

/// Entries that are asked for at once.
const PAGE: u32 = 1000;

/// Counts the entries of all pages.
async fn count<T, F>(mut page: impl FnMut(Option<String>) -> F) -> Result<usize, Fault>
where
    F: Future<Output = Result<cairn_protocol::iam::Page<T>, cairn_protocol::iam::IamError>>,
{
    let (mut total, mut after) = (0, None);
    loop {
        let next = page(after).await?;
        total += next.entries.len();
        match next.next {
            Some(mark) => after = Some(mark),
            None => return Ok(total),
        }
    }
}

async fn summary(call: &Call) -> Answered {
    call.authorise("iam:GetAccountSummary", "*")?;
    let (account, iam) = (call.account()?, call.iam());
    let entities = |after| {
        let (account, path_prefix) = (account.clone(), String::new());
        ListEntities { account, path_prefix, after, max: PAGE }
    };
    let policies = |after| {
        let (account, path_prefix, scope) = (account.clone(), String::new(), PolicyScope::Local);
        ListPolicies { account, scope, only_attached: false, path_prefix, after, max: PAGE }
    };
    let root_keys = iam.list_access_keys(KeyOwner { account: account.clone(), user: None }).await?;
    let providers = iam.list_oidc_providers(AccountRef { account: account.clone() }).await?;
    let entries = [
        ("Users", count(|after| iam.list_users(entities(after))).await?),
        ("Groups", count(|after| iam.list_groups(entities(after))).await?),
        ("Roles", count(|after| iam.list_roles(entities(after))).await?),
        ("Policies", count(|after| iam.list_policies(policies(after))).await?),
        ("Providers", providers.len()),
        ("AccountAccessKeysPresent", usize::from(!root_keys.is_empty())),
        ("AccountMFAEnabled", 0),
        ("MFADevices", 0),
        ("MFADevicesInUse", 0),
        ("InstanceProfiles", 0),
        ("ServerCertificates", 0),
        ("AccessKeysPerUserQuota", 2),
        ("VersionsPerPolicyQuota", 5),
    ];
    Ok(Answer::with(move |xml| {
        xml.element("SummaryMap", |xml| {
            for (key, value) in entries {
                xml.element("entry", |xml| {
                    xml.text("key", key);
                    xml.value("value", value);
                });
            }
        });
    }))
}

/// Accounts have no aliases here.
async fn aliases(call: &Call) -> Answered {
    call.authorise("iam:ListAccountAliases", "*")?;
    Ok(Answer::with(|xml| {
        xml.element("AccountAliases", |_| {});
        super::paging::write(xml, None);
    }))
}
