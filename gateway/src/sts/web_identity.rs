//! `AssumeRoleWithWebIdentity`: the one operation without a signature. A token of an OpenID Connect provider proves who the sender
//! is.
//!
//! Sources: STS API Reference, "AssumeRoleWithWebIdentity"; IAM User Guide, "Available keys for AWS OIDC federation".

use cairn_policy::principal::{Named, NamedPrincipal, Sender};
use cairn_policy::statement::{Effect, Principals, Statement, Subject};
use cairn_policy::{Context, Policy, Principal};
use cairn_protocol::iam::{IamError, OidcProvider, OidcProviderRef, SessionOf};
use cairn_protocol::metadata::Identity;
use http::StatusCode;

use super::role::{RoleArn, usable_trust};
use super::session::{self, Passed};
use super::trust_keys::CLAIMS;
use crate::oidc::{Claims, Provider, TokenError, WebToken};
use crate::query_protocol::{Answer, Answered, Call, Fault, Operation};
use crate::types::iso8601_seconds;

pub(super) const OPERATIONS: &[Operation] = &[(super::UNSIGNED, |call| Box::pin(assume(call)))];

const ACTION: &str = "sts:AssumeRoleWithWebIdentity";

async fn assume(call: &Call) -> Answered {
    let arn = RoleArn::read(call)?;
    let name = session::name(call)?;
    let text = call.text("WebIdentityToken", (4, 20_000))?;
    if call.optional("ProviderId").is_some() {
        return Err(Fault::validation("ProviderId is for OAuth 2.0 access tokens, which are not supported."));
    }
    session::refuse_unsupported(call)?;
    let passed = Passed::read(call)?;
    let token = WebToken::parse(&text).map_err(fault)?;
    let provider = find_provider(call, &arn.account, &token.issuer).await?;
    let key_source = Provider { url: provider.url.clone(), thumbprints: provider.thumbprints.clone() };
    let claims =
        token.verify(&key_source, &call.gateway.provider_keys, call.facts.time).await.map_err(fault)?;
    let audience =
        claims.audience_among(&provider.client_ids).ok_or_else(|| invalid("Incorrect token audience"))?;

    let denied = || session::not_authorised(None, ACTION, &arn.text);
    let role = arn.find(call).await?.ok_or_else(denied)?;
    let trust = usable_trust(&role, &arn).ok_or_else(denied)?;
    let context = context(call, &provider, (&claims, &audience), &name);
    if !trusts(&trust, &provider.arn, &arn.text, &context) {
        return Err(denied());
    }
    let length_s = session::role_length_s(call, role.session_s_max)?;
    let (id, role_name) = match role.identity {
        Identity::Role { id, name, .. } => (id, name),
        Identity::Root { .. } | Identity::User { .. } => return Err(Fault::internal("a role is none")),
    };
    let of = SessionOf::Role { id: id.clone(), name: name.clone(), provider: Some(provider.arn) };
    let session = session::open(call, arn.account.clone(), of, length_s, passed).await?;
    let account = arn.account;
    Ok(Answer::with(move |xml| {
        xml.text("SubjectFromWebIdentityToken", &claims.sub);
        xml.text("Audience", &audience);
        xml.text("Provider", &claims.iss);
        session::credentials(xml, &session);
        xml.element("AssumedRoleUser", |xml| {
            xml.text("AssumedRoleId", &format!("{id}:{name}"));
            xml.text("Arn", &format!("arn:aws:sts::{account}:assumed-role/{role_name}/{name}"));
        });
    }))
}

/// The provider of the role's account that the token claims to be of.
async fn find_provider(call: &Call, account: &str, issuer: &str) -> Result<OidcProvider, Fault> {
    let missing = || invalid(format!("No OpenIDConnect provider found in your account for {issuer}"));
    let request = OidcProviderRef { account: account.to_owned(), url: issuer.to_owned() };
    match call.gateway.iam.get_oidc_provider(request).await {
        Ok(found) if found.url == issuer.trim_end_matches('/') => Ok(found),
        Ok(_) | Err(IamError::NoSuchEntity { .. } | IamError::InvalidInput { .. }) => Err(missing()),
        Err(error) => Err(error.into()),
    }
}

/// The condition keys of the request: those of the token are behind the provider's name.
fn context(call: &Call, provider: &OidcProvider, (claims, audience): (&Claims, &str), name: &str) -> Context {
    let mut context = call.context();
    context.add("sts:RoleSessionName", name);
    context.add("aws:FederatedProvider", provider.arn.as_str());
    let issuer = provider.url.split_once("://").map_or(provider.url.as_str(), |(_, rest)| rest);
    let [aud, sub, amr] = CLAIMS.map(|claim| format!("{issuer}:{claim}"));
    context.add(&aud, audience);
    context.add(&sub, claims.sub.as_str());
    for method in &claims.amr {
        context.add(&amr, method.as_str());
    }
    context
}

/// Whether a trust policy lets the tokens of a provider assume the role. Only a statement that names the provider allows it; one
/// that names everyone does not.
fn trusts(trust: &Policy, provider: &str, role: &str, context: &Context) -> bool {
    let anyone = Principal::Anonymous;
    let sender = Sender::new(&anyone, None);
    let action = ACTION.to_ascii_lowercase();
    let subject = Subject { sender: &sender, action: &action, resource: role, context };
    let applies = |statement: &&Statement| {
        let is_named = |names: &[NamedPrincipal]| {
            names.iter().any(|name| matches!(name, NamedPrincipal::Other(other) if other == provider))
        };
        let concerns = match (&statement.principals, statement.effect) {
            (Principals::Listed(names), Effect::Allow) => is_named(names),
            (Principals::Listed(names), Effect::Deny) => {
                is_named(names) || names.contains(&NamedPrincipal::Everyone)
            }
            (Principals::AllBut(names), Effect::Deny) => !is_named(names),
            (Principals::AllBut(_), Effect::Allow) | (Principals::TheOwner, _) => false,
        };
        let everyone = Principals::Listed(vec![NamedPrincipal::Everyone]);
        let of_everyone = Statement { principals: everyone, ..(*statement).clone() };
        concerns && of_everyone.applies(&subject) != Named::Not
    };
    let applying: Vec<Effect> =
        trust.statements.iter().filter(applies).map(|statement| statement.effect).collect();
    applying.contains(&Effect::Allow) && !applying.contains(&Effect::Deny)
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::bad("InvalidIdentityToken", message.into())
}

fn fault(error: TokenError) -> Fault {
    match error {
        TokenError::Invalid(message) => invalid(message),
        TokenError::Expired { at_s } => {
            let at = iso8601_seconds(cairn_protocol::env::Timestamp(at_s.saturating_mul(1000)));
            Fault::bad("ExpiredTokenException", format!("Token expired: its expiration date is {at}"))
        }
        TokenError::NotYet => {
            let message = "The ID Token is not valid yet, or was issued in the future.";
            Fault::new("IDPRejectedClaim", StatusCode::FORBIDDEN, message)
        }
        TokenError::Unreachable => Fault::bad(
            "IDPCommunicationError",
            "The keys of your identity provider cannot be fetched. Please try again.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use cairn_policy::Kind;

    use super::*;

    const PROVIDER: &str = "arn:aws:iam::123456789012:oidc-provider/id.example.com";
    const ROLE: &str = "arn:aws:iam::123456789012:role/r";

    fn decides(statements: &str, subject: &str) -> bool {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
        let policy = Policy::parse(&text, Kind::Trust).unwrap();
        trusts(&policy, PROVIDER, ROLE, &Context::default().with("id.example.com:sub", subject))
    }

    #[test]
    fn only_a_statement_that_names_the_provider_trusts_its_tokens() {
        let statement = |effect: &str, principal: &str, action: &str| {
            format!(r#"{{"Effect":"{effect}","Principal":{principal},"Action":"{action}"}}"#)
        };
        let named = format!(r#"{{"Federated":"{PROVIDER}"}}"#);
        let allow = statement("Allow", &named, ACTION);
        assert!(decides(&allow, "s"));
        assert!(!decides(&statement("Allow", "\"*\"", ACTION), "s"));
        assert!(!decides(&statement("Allow", r#"{"AWS":"123456789012"}"#, ACTION), "s"));
        assert!(!decides(
            &statement("Allow", r#"{"Federated":"arn:aws:iam::123456789012:oidc-provider/x"}"#, ACTION),
            "s"
        ));
        assert!(!decides(&statement("Allow", &named, "sts:AssumeRole"), "s"));
        assert!(
            !decides(&format!("{allow},{}", statement("Deny", "\"*\"", "sts:*")), "s"),
            "an explicit deny wins"
        );
    }

    #[test]
    fn conditions_are_on_the_claims() {
        let statement = format!(
            r#"{{"Effect":"Allow","Principal":{{"Federated":"{PROVIDER}"}},"Action":"{ACTION}",
                 "Condition":{{"StringLike":{{"id.example.com:sub":"repo:org/*"}}}}}}"#
        );
        assert!(decides(&statement, "repo:org/a"));
        assert!(!decides(&statement, "repo:other/a"));
    }
}
