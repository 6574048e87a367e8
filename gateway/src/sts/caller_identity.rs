//! `GetCallerIdentity` and `GetAccessKeyInfo`.

use cairn_protocol::metadata::{AccessKeyRef, Identity};

use crate::identity::KeyHolder;
use crate::query_protocol::{Answer, Answered, Call, Fault, Operation};

pub(super) const OPERATIONS: &[Operation] = &[
    ("GetCallerIdentity", |call| Box::pin(identity(call))),
    ("GetAccessKeyInfo", |call| Box::pin(key_info(call))),
];

/// The unique id of a sender, as `aws:userid` has it.
pub(super) fn user_id(holder: &KeyHolder) -> String {
    match holder.identity() {
        Identity::Root { account } => account.id.clone(),
        Identity::User { id, .. } => id.clone(),
        Identity::Role { id, .. } => {
            let session = holder.session().and_then(|session| session.name.as_deref());
            format!("{id}:{}", session.unwrap_or_default())
        }
    }
}

/// It needs no permission, and no policy can deny it.
async fn identity(call: &Call) -> Answered {
    let holder = call.holder()?;
    let (arn, id) = (holder.arn(), user_id(holder));
    let account = call.account()?;
    Ok(Answer::with(move |xml| {
        xml.text("Arn", &arn);
        xml.text("UserId", &id);
        xml.text("Account", &account);
    }))
}

async fn key_info(call: &Call) -> Answered {
    let access_key = call.text("AccessKeyId", (16, 128))?;
    call.authorise("sts:GetAccessKeyInfo", "*")?;
    let found = call.gateway.authority.find_access_key(AccessKeyRef::long_term(access_key.as_str())).await?;
    let account = found.map(|found| found.identity.account().id.clone());
    let account = account.ok_or_else(|| Fault::validation(format!("Invalid access key id: {access_key}")))?;
    Ok(Answer::with(move |xml| xml.text("Account", &account)))
}
