//! `cairn admin oidc`.

use cairn_protocol::env::Env;
use cairn_protocol::iam::{
    AccountRef, CreateOidcProvider, DeleteOidcProvider, Iam, OidcProvider, OidcProviderRef,
    UpdateOidcProvider,
};
use clap::{Args, Subcommand};

use super::{AccountArgument, mutation};
use crate::command::admin::Printer;
use crate::command::admin::consent::Consent;
use crate::table::Table;
use crate::units::time;

const CREATE_HELP: &str = "\
A role trusts tokens of the provider whose subject is a workflow of the organisation acme:
  {\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\", \"Action\": \"sts:AssumeRoleWithWebIdentity\",
    \"Principal\": {\"Federated\": \"arn:aws:iam::000000000000:oidc-provider/id.example.com\"},
    \"Condition\": {\"StringLike\": {\"id.example.com:sub\": \"repo:acme/*\"}}}]}";

#[derive(Subcommand, Debug)]
pub(in crate::command::admin) enum OidcOperation {
    /// Accept the tokens of a provider of OpenID Connect
    #[command(after_help = CREATE_HELP)]
    Create {
        #[command(flatten)]
        provider: ProviderArguments,

        /// A client id (audience) that its tokens may be for; may be repeated
        #[arg(long = "client-id", value_name = "ID", required = true)]
        client_ids: Vec<String>,

        /// SHA-1 of the authority that signed its certificate, if the system does not trust it; may be repeated
        #[arg(long = "thumbprint", value_name = "HEX")]
        thumbprints: Vec<String>,
    },
    /// List the providers
    List(AccountArgument),
    /// Show a provider
    Show(ProviderArguments),
    /// Replace the client ids or the thumbprints of a provider
    Update {
        #[command(flatten)]
        provider: ProviderArguments,

        /// A client id in place of those before; may be repeated
        #[arg(long = "client-id", value_name = "ID")]
        client_ids: Vec<String>,

        /// A thumbprint in place of those before; may be repeated
        #[arg(long = "thumbprint", value_name = "HEX")]
        thumbprints: Vec<String>,
    },
    /// Accept no more tokens of a provider; sessions that are open go on
    Delete {
        #[command(flatten)]
        provider: ProviderArguments,

        #[command(flatten)]
        consent: Consent,
    },
}

/// The provider of a command.
#[derive(Args, Debug)]
pub(in crate::command::admin) struct ProviderArguments {
    /// The provider's URL: the issuer of its tokens
    url: String,

    #[command(flatten)]
    account: AccountArgument,
}

pub(in crate::command::admin) async fn run(
    operation: OidcOperation,
    iam: &dyn Iam,
    env: &Env,
    printer: Printer,
) -> anyhow::Result<()> {
    match operation {
        OidcOperation::Create { provider, client_ids, thumbprints } => {
            let ProviderArguments { url, account: AccountArgument { account } } = provider;
            let mutation = mutation(env);
            let request = CreateOidcProvider { account, url, client_ids, thumbprints, mutation };
            let made = iam.create_oidc_provider(request).await?;
            printer.show(&made, |provider| format!("Made provider {}.", provider.arn))
        }
        OidcOperation::List(AccountArgument { account }) => {
            let providers = iam.list_oidc_providers(AccountRef { account }).await?;
            printer.show(&providers, |providers| {
                let mut table = Table::new(["PROVIDER", "CLIENT IDS", "CREATED"]);
                for provider in providers {
                    let clients = provider.client_ids.join(", ");
                    table.row([provider.url.clone(), clients, time(provider.created_at)]);
                }
                table.to_string()
            })
        }
        OidcOperation::Show(ProviderArguments { url, account: AccountArgument { account } }) => {
            let found = iam.get_oidc_provider(OidcProviderRef { account, url }).await?;
            printer.show(&found, facts)
        }
        OidcOperation::Update { provider, client_ids, thumbprints } => {
            let ProviderArguments { url, account: AccountArgument { account } } = provider;
            let given = |texts: Vec<String>| (!texts.is_empty()).then_some(texts);
            let (client_ids, thumbprints) = (given(client_ids), given(thumbprints));
            anyhow::ensure!(
                client_ids.is_some() || thumbprints.is_some(),
                "give --client-id or --thumbprint: what is to be replaced"
            );
            let mutation = mutation(env);
            let request = UpdateOidcProvider { account, url, client_ids, thumbprints, mutation };
            printer.show(&iam.update_oidc_provider(request).await?, facts)
        }
        OidcOperation::Delete { provider, consent } => {
            let ProviderArguments { url, account: AccountArgument { account } } = provider;
            let reference = OidcProviderRef { account: account.clone(), url: url.clone() };
            printer.note(facts(&iam.get_oidc_provider(reference).await?));
            if consent.given()? {
                let mutation = mutation(env);
                iam.delete_oidc_provider(DeleteOidcProvider { account, url, mutation }).await?;
                printer.note("It is deleted.");
            }
            Ok(())
        }
    }
}

fn facts(provider: &OidcProvider) -> String {
    let mut table = Table::of_facts();
    table.row(["provider".to_owned(), provider.url.clone()]);
    table.row(["arn".to_owned(), provider.arn.clone()]);
    table.row(["client ids".to_owned(), provider.client_ids.join(", ")]);
    if !provider.thumbprints.is_empty() {
        table.row(["thumbprints".to_owned(), provider.thumbprints.join(", ")]);
    }
    table.row(["created".to_owned(), time(provider.created_at)]);
    table.to_string()
}
