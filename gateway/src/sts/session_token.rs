//! `GetSessionToken`, and `DecodeAuthorizationMessage`.

use cairn_protocol::iam::{SESSION_LENGTH_S_MAX, SESSION_LENGTH_S_MIN, SessionOf};
use cairn_protocol::metadata::Identity;

use super::session::{self, Passed};
use crate::query_protocol::{Answer, Answered, Call, Fault, Operation};

pub(super) const OPERATIONS: &[Operation] = &[
    ("GetSessionToken", |call| Box::pin(get(call))),
    ("DecodeAuthorizationMessage", |call| Box::pin(decode(call))),
];

/// The length of a user's session if the request asks for none, in seconds: 12 hours.
const USER_S_DEFAULT: u32 = 43_200;

/// The longest session of a root user, in seconds. AWS makes a longer one this long.
const ROOT_S_MAX: u32 = 3600;

/// It needs no permission, and no policy can deny it (IAM User Guide, "Permissions for GetSessionToken").
async fn get(call: &Call) -> Answered {
    let sender = call.holder()?;
    if sender.session().is_some() {
        return Err(Fault::denied("Cannot call GetSessionToken with session credentials"));
    }
    session::refuse_unsupported(call)?;
    let asked = call.number("DurationSeconds", (SESSION_LENGTH_S_MIN, SESSION_LENGTH_S_MAX))?;
    let (of, length_s) = match sender.identity() {
        Identity::Root { .. } => (SessionOf::Root, asked.unwrap_or(ROOT_S_MAX).min(ROOT_S_MAX)),
        Identity::User { id, .. } => (SessionOf::User { id: id.clone() }, asked.unwrap_or(USER_S_DEFAULT)),
        Identity::Role { .. } => return Err(Fault::internal("a key of a role is no session's")),
    };
    let session = session::open(call, call.account()?, of, length_s, Passed::default()).await?;
    Ok(Answer::with(move |xml| session::credentials(xml, &session)))
}

/// No answer of this service has an encoded message, so none can be decoded.
async fn decode(call: &Call) -> Answered {
    call.required("EncodedMessage")?;
    call.authorise("sts:DecodeAuthorizationMessage", "*")?;
    Err(Fault::bad("InvalidAuthorizationMessageException", "Message is not valid"))
}
