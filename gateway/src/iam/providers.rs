//! OpenID Connect providers.

use cairn_protocol::iam::{
    AccountRef, CreateOidcProvider, DeleteOidcProvider, OidcProvider, OidcProviderRef, UpdateOidcProvider,
};

use super::documents::date;
use crate::query_protocol::{Answer, Answered, Call, Fault, Operation};
use crate::xml::XmlWriter;

pub(super) const OPERATIONS: &[Operation] = &[
    ("CreateOpenIDConnectProvider", |call| Box::pin(create(call))),
    ("GetOpenIDConnectProvider", |call| Box::pin(get(call))),
    ("ListOpenIDConnectProviders", |call| Box::pin(list(call))),
    ("DeleteOpenIDConnectProvider", |call| Box::pin(delete(call))),
    ("AddClientIDToOpenIDConnectProvider", |call| Box::pin(add_client(call))),
    ("RemoveClientIDFromOpenIDConnectProvider", |call| Box::pin(remove_client(call))),
    ("UpdateOpenIDConnectProviderThumbprint", |call| Box::pin(update_thumbprints(call))),
];

/// The parameter with the ARN of a provider, if the sender may do the action of the request with it.
fn named(call: &Call) -> Result<OidcProviderRef, Fault> {
    let arn = call.text("OpenIDConnectProviderArn", (20, 2048))?;
    let account = call.account()?;
    call.authorise(&format!("iam:{}", call.action), &arn)?;
    let url = arn.strip_prefix(&format!("arn:aws:iam::{account}:oidc-provider/"));
    match url {
        Some(url) => Ok(OidcProviderRef { account, url: url.to_owned() }),
        None if arn.starts_with("arn:aws:iam::") && arn.contains(":oidc-provider/") => {
            Err(Fault::no_such_entity(format!("OpenIDConnect Provider not found for arn {arn}")))
        }
        None => Err(Fault::bad("InvalidInput", format!("Invalid ARN: {arn}"))),
    }
}

fn texts(call: &Call, name: &str) -> Vec<String> {
    call.parameters.list(name).into_iter().map(str::to_owned).collect()
}

fn members(xml: &mut XmlWriter, name: &str, entries: &[String]) {
    xml.element(name, |xml| {
        for entry in entries {
            xml.text("member", entry);
        }
    });
}

async fn create(call: &Call) -> Answered {
    let url = call.text("Url", (1, 255))?;
    let (client_ids, thumbprints) = (texts(call, "ClientIDList"), texts(call, "ThumbprintList"));
    if call.optional("Tags.member.1.Key").is_some() {
        return Err(Fault::bad("InvalidInput", "Tags of OpenID Connect providers are not supported."));
    }
    let account = call.account()?;
    let host = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).trim_end_matches('/');
    let arn = format!("arn:aws:iam::{account}:oidc-provider/{host}");
    call.authorise("iam:CreateOpenIDConnectProvider", &arn)?;
    let mutation = call.mutation();
    let request = CreateOidcProvider { account, url, client_ids, thumbprints, mutation };
    let made = call.change(|| call.iam().create_oidc_provider(request.clone())).await?;
    Ok(Answer::with(move |xml| {
        xml.text("OpenIDConnectProviderArn", &made.arn);
        members(xml, "ThumbprintList", &made.thumbprints);
    }))
}

async fn get(call: &Call) -> Answered {
    let found = call.iam().get_oidc_provider(named(call)?).await?;
    Ok(Answer::with(move |xml| {
        let OidcProvider { url, client_ids, thumbprints, created_at, .. } = &found;
        // AWS shows it without the scheme.
        xml.text("Url", url.split_once("://").map_or(url, |(_, rest)| rest));
        members(xml, "ClientIDList", client_ids);
        members(xml, "ThumbprintList", thumbprints);
        date(xml, "CreateDate", *created_at);
    }))
}

async fn list(call: &Call) -> Answered {
    let account = call.account()?;
    call.authorise("iam:ListOpenIDConnectProviders", &format!("arn:aws:iam::{account}:oidc-provider/*"))?;
    let found = call.iam().list_oidc_providers(AccountRef { account }).await?;
    Ok(Answer::with(move |xml| {
        super::documents::list(xml, "OpenIDConnectProviderList", &found, |xml, provider| {
            xml.text("Arn", &provider.arn);
        });
    }))
}

async fn delete(call: &Call) -> Answered {
    let OidcProviderRef { account, url } = named(call)?;
    let request = DeleteOidcProvider { account, url, mutation: call.mutation() };
    call.change(|| call.iam().delete_oidc_provider(request.clone())).await?;
    Ok(Answer::empty())
}

async fn replace(
    call: &Call,
    of: OidcProviderRef,
    client_ids: Option<Vec<String>>,
    thumbprints: Option<Vec<String>>,
) -> Answered {
    let OidcProviderRef { account, url } = of;
    let request = UpdateOidcProvider { account, url, client_ids, thumbprints, mutation: call.mutation() };
    call.change(|| call.iam().update_oidc_provider(request.clone())).await?;
    Ok(Answer::empty())
}

/// Nothing happens if the provider has the client id.
async fn add_client(call: &Call) -> Answered {
    let client = call.text("ClientID", (1, 255))?;
    let of = named(call)?;
    let mut clients = call.iam().get_oidc_provider(of.clone()).await?.client_ids;
    if !clients.contains(&client) {
        clients.push(client);
    }
    replace(call, of, Some(clients), None).await
}

/// Nothing happens if the provider does not have the client id.
async fn remove_client(call: &Call) -> Answered {
    let client = call.text("ClientID", (1, 255))?;
    let of = named(call)?;
    let mut clients = call.iam().get_oidc_provider(of.clone()).await?.client_ids;
    clients.retain(|other| *other != client);
    replace(call, of, Some(clients), None).await
}

async fn update_thumbprints(call: &Call) -> Answered {
    let thumbprints = texts(call, "ThumbprintList");
    let of = named(call)?;
    replace(call, of, None, Some(thumbprints)).await
}
