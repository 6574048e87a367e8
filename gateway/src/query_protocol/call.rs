//! A request whose sender is verified, and whether the sender may do what it asks for.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use backon::{ConstantBuilder, Retryable};
use cairn_policy::{Context, Reason};
use cairn_protocol::iam::{Iam, IamError};
use cairn_protocol::id::MutationId;
use cairn_protocol::metadata::Identity;

use super::validation::{characters, constraint, matches, missing};
use super::{Answered, Fault, Parameters};
use crate::gateway::Gateway;
use crate::identity::{Facts, KeyHolder, add_facts, add_holder};

/// How long a change with an unknown outcome is repeated: as long as changes of objects are.
const REPEAT_FOR: Duration = Duration::from_secs(20);

/// The pause between two attempts.
const REPEAT_DELAY: Duration = Duration::from_millis(300);

/// What an operation does with a request.
pub(crate) type Handler = for<'a> fn(&'a Call) -> Pin<Box<dyn Future<Output = Answered> + Send + 'a>>;

/// An operation: the value of `Action`, and what it does.
pub(crate) type Operation = (&'static str, Handler);

/// A request whose sender is verified.
#[derive(Debug)]
pub(crate) struct Call {
    /// The gateway.
    pub(crate) gateway: Arc<Gateway>,
    /// The name of the operation: `CreateUser`.
    pub(crate) action: &'static str,
    /// The parameters.
    pub(crate) parameters: Parameters,
    /// The holder of the access key; `None` for a request without a signature, which only `AssumeRoleWithWebIdentity` may be.
    pub(crate) holder: Option<Arc<KeyHolder>>,
    /// What the connection and the head say about the sender.
    pub(crate) facts: Facts,
}

impl Call {
    /// The service of identities.
    pub(crate) fn iam(&self) -> &dyn Iam {
        &*self.gateway.iam
    }

    /// The sender.
    ///
    /// # Errors
    /// `MissingAuthenticationToken` for a request without a signature.
    pub(crate) fn holder(&self) -> Result<&KeyHolder, Fault> {
        self.holder.as_deref().ok_or_else(unsigned)
    }

    /// The id of the sender's account, to which all that a request names belongs.
    ///
    /// # Errors
    /// `MissingAuthenticationToken` for a request without a signature.
    pub(crate) fn account(&self) -> Result<String, Fault> {
        Ok(self.holder()?.identity().account().id.clone())
    }

    /// A new id for a change.
    pub(crate) fn mutation(&self) -> Option<MutationId> {
        Some(MutationId(self.gateway.env.uuid_v7()))
    }

    /// Makes a change. It is repeated until its outcome is known: the metanode recognises it by its id. Afterwards this gateway
    /// forgets what it has cached of the account.
    ///
    /// # Errors
    /// Those of the change.
    pub(crate) async fn change<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, IamError>>,
    {
        let env = &self.gateway.env;
        let deadline = env.monotonic() + REPEAT_FOR;
        let done = attempt
            .retry(ConstantBuilder::new().with_delay(REPEAT_DELAY).without_max_times())
            .sleep(env.sleeper())
            .when(|error| matches!(error, IamError::Unavailable { .. }) && env.monotonic() < deadline)
            .notify(|error, _| {
                cairn_protocol::warn_peer!(%error, "the outcome of a change of identities is unknown");
            })
            .await;
        self.gateway.keyring.forget_account(&self.account()?);
        Ok(done?)
    }

    /// A parameter that must be there.
    ///
    /// # Errors
    /// `ValidationError`.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Fault> {
        self.optional(name).ok_or_else(|| missing(name))
    }

    /// A parameter that may be missing.
    pub(crate) fn optional(&self, name: &str) -> Option<&str> {
        self.parameters.get(name)
    }

    /// A parameter that must be a name of up to `max` characters.
    ///
    /// # Errors
    /// `ValidationError`.
    pub(crate) fn name(&self, name: &str, max: usize) -> Result<String, Fault> {
        Ok(matches(name, self.required(name)?, (1, max))?.to_owned())
    }

    /// A parameter that must be text of `min` to `max` characters.
    ///
    /// # Errors
    /// `ValidationError`.
    pub(crate) fn text(&self, name: &str, lengths: (usize, usize)) -> Result<String, Fault> {
        Ok(characters(name, self.required(name)?, lengths)?.to_owned())
    }

    /// A number from `min` to `max`, if it is there.
    ///
    /// # Errors
    /// `ValidationError`, or `MalformedInput` for what is no number.
    pub(crate) fn number(&self, name: &str, (min, max): (u32, u32)) -> Result<Option<u32>, Fault> {
        let Some(text) = self.optional(name) else { return Ok(None) };
        let wrong = || Fault::bad("MalformedInput", format!("Invalid Argument: {name} is not a number."));
        let number: i64 = text.parse().map_err(|_| wrong())?;
        if number < i64::from(min) {
            let what = format!("have value greater than or equal to {min}");
            return Err(constraint(name, text, &what));
        }
        match u32::try_from(number) {
            Ok(number) if number <= max => Ok(Some(number)),
            _ => Err(constraint(name, text, &format!("have value less than or equal to {max}"))),
        }
    }

    /// A truth value, if it is there.
    ///
    /// # Errors
    /// `MalformedInput`.
    pub(crate) fn truth(&self, name: &str) -> Result<Option<bool>, Fault> {
        match self.optional(name) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => {
                Err(Fault::bad("MalformedInput", format!("Invalid Argument: {name} is not a boolean.")))
            }
        }
    }

    /// The condition keys of the connection and the sender.
    pub(crate) fn context(&self) -> Context {
        let mut context = Context::default();
        add_facts(&self.facts, &mut context);
        if let Some(holder) = &self.holder {
            add_holder(holder, &mut context);
        }
        context
    }

    /// Checks that the sender may do an action on a resource of its account.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub(crate) fn authorise(&self, action: &str, resource: &str) -> Result<(), Fault> {
        self.authorise_with(action, resource, &self.context())
    }

    /// The same, with more condition keys.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub(crate) fn authorise_with(
        &self,
        action: &str,
        resource: &str,
        context: &Context,
    ) -> Result<(), Fault> {
        let holder = self.holder()?;
        let is_session = holder.session().is_some();
        if action.starts_with("iam:") && is_session && !matches!(holder.identity(), Identity::Role { .. }) {
            // AWS: a session of GetSessionToken can call the IAM API only if it was opened with an MFA device, which Cairn has not.
            let message = "Sessions of GetSessionToken cannot call the IAM API.";
            return Err(Fault::new("InvalidClientTokenId", http::StatusCode::FORBIDDEN, message));
        }
        let decision = holder.decide_at_home(action, resource, context);
        let why = match decision.map(|decision| (decision.allowed, decision.reason)) {
            Some((true, _)) => return Ok(()),
            Some((false, Reason::ExplicitDeny(_))) => "with an explicit deny in a policy".to_owned(),
            Some((false, Reason::SessionPolicy)) => {
                format!("because no session policy allows the {action} action")
            }
            _ => format!("because no identity-based policy allows the {action} action"),
        };
        Err(Fault::denied(format!(
            "User: {} is not authorized to perform: {action} on resource: {resource} {why}",
            holder.arn()
        )))
    }
}

/// The error of a request without a signature.
fn unsigned() -> Fault {
    let message = "Request is missing Authentication Token";
    Fault::new("MissingAuthenticationToken", http::StatusCode::FORBIDDEN, message)
}
