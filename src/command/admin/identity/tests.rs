//! The commands against a metanode of their own.

use std::sync::Arc;

use cairn_metanode::{Config, Metanode};
use cairn_protocol::event::EventBus;
use cairn_protocol::iam::{EntityRef, GetGroup, HolderKind, HolderRef, Iam, InlinePolicyRef, PolicyRef};
use cairn_protocol::secret::ClusterSecret;
use clap::Subcommand;
use tempfile::TempDir;

use super::*;
use crate::command::admin::Printer;
use crate::command::admin::fake::parse;

struct Stage {
    iam: Arc<dyn Iam>,
    env: Env,
    directory: TempDir,
}

impl Stage {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let env = Env::system();
        let secret = ClusterSecret::new("a secret that is long enough for tests").unwrap();
        let config = Config::new(directory.path());
        let metanode = Metanode::open(config, secret, env.clone(), EventBus::new(env.clone())).await.unwrap();
        Self { iam: metanode.iam(), env, directory }
    }

    /// Runs `cairn admin` with this line.
    async fn run(&self, line: &str) -> anyhow::Result<()> {
        fn operation<O: Subcommand>(line: &[&str]) -> anyhow::Result<O> {
            Ok(parse(line)?)
        }
        let words: Vec<_> = line.split(' ').collect();
        let (rest, printer) = (&words[1..], Printer { json: true });
        let (iam, env) = (&*self.iam, &self.env);
        match words[0] {
            "account" => account::run(operation(rest)?, iam, env, printer).await,
            "user" => user::run(operation(rest)?, iam, env, printer).await,
            "group" => group::run(operation(rest)?, iam, env, printer).await,
            "key" => key::run(operation(rest)?, iam, env, printer).await,
            "role" => role::run(operation(rest)?, iam, env, printer).await,
            "oidc" => oidc::run(operation(rest)?, iam, env, printer).await,
            "policy" => policy::run(operation(rest)?, iam, env, printer).await,
            other => panic!("{other}"),
        }
    }

    async fn run_all(&self, lines: &[&str]) {
        for line in lines {
            self.run(line).await.unwrap_or_else(|error| panic!("{line}: {error:#}"));
        }
    }

    async fn keys(&self, user: &str) -> Vec<(String, bool)> {
        let owner =
            cairn_protocol::iam::KeyOwner { account: FIRST_ACCOUNT_ID.into(), user: Some(user.into()) };
        let keys = self.iam.list_access_keys(owner).await.unwrap();
        keys.into_iter().map(|key| (key.access_key, key.active)).collect()
    }
}

fn user(name: &str) -> HolderRef {
    HolderRef { account: FIRST_ACCOUNT_ID.into(), kind: HolderKind::User, name: name.into() }
}

#[tokio::test]
async fn a_user_gets_a_key_unless_told_otherwise() {
    let stage = Stage::new().await;
    stage.run_all(&["user create alice", "user create bob --no-key --path /a/", "user list"]).await;
    assert_eq!(stage.keys("alice").await.len(), 1);
    assert_eq!(stage.keys("bob").await, []);
    assert!(stage.run("user create alice").await.is_err());
}

#[tokio::test]
async fn keys_are_rotated_disabled_and_deleted() {
    let stage = Stage::new().await;
    stage.run("user create alice").await.unwrap();
    let old = stage.keys("alice").await[0].0.clone();
    stage.run(&format!("key rotate --user alice --disable {old}")).await.unwrap();
    let keys = stage.keys("alice").await;
    let new = keys.iter().find(|(key, _)| *key != old).unwrap().clone();
    assert!(new.1 && keys.contains(&(old.clone(), false)));
    // Without consent nothing is deleted.
    assert!(stage.run(&format!("key delete {old} --user alice")).await.is_err());
    stage.run(&format!("key delete {old} --user alice --dry-run")).await.unwrap();
    assert_eq!(stage.keys("alice").await.len(), 2);
    stage.run(&format!("key delete {old} --user alice --yes")).await.unwrap();
    stage.run(&format!("key disable {} --user alice", new.0)).await.unwrap();
    assert_eq!(stage.keys("alice").await, [(new.0.clone(), false)]);
    stage.run(&format!("key enable {} --user alice", new.0)).await.unwrap();
    assert_eq!(stage.keys("alice").await, [new]);
    // Whose key it is to be is never guessed: the root user's may do everything.
    assert!(stage.run("key create").await.is_err());
    stage.run("key create --root").await.unwrap();
}

#[tokio::test]
async fn a_key_of_another_store_comes_from_a_file() {
    let stage = Stage::new().await;
    let file = stage.directory.path().join("secret");
    std::fs::write(&file, "another-secret\n").unwrap();
    let line = format!("key create --user u --access-key theirs --secret-key-file {}", file.display());
    stage.run("user create u --no-key").await.unwrap();
    stage.run(&line).await.unwrap();
    assert_eq!(stage.keys("u").await, [("theirs".to_owned(), true)]);
    assert!(stage.run("key create --user u --access-key theirs").await.is_err());
}

#[tokio::test]
async fn a_user_is_deleted_with_all_it_has_only_by_force() {
    let stage = Stage::new().await;
    stage
        .run_all(&[
            "user create u",
            "group create g",
            "group add g u",
            "policy attach AmazonS3FullAccess --user u",
            "policy attach readonly --user u --bucket photos",
            "user show u",
            "group show g",
        ])
        .await;
    let refused = stage.run("user delete u --yes").await.unwrap_err().to_string();
    assert!(refused.contains("access keys"), "{refused}");
    stage.run("user delete u --force --dry-run").await.unwrap();
    assert_eq!(stage.keys("u").await.len(), 1);
    stage.run_all(&["user delete u --force --yes", "group list", "group delete g --yes"]).await;
    let gone = EntityRef { account: FIRST_ACCOUNT_ID.into(), name: "u".into() };
    assert!(stage.iam.get_user(gone).await.is_err());
}

#[tokio::test]
async fn a_group_is_deleted_with_all_it_has_only_by_force() {
    let stage = Stage::new().await;
    stage
        .run_all(&[
            "user create u --no-key",
            "group create g --path /x/",
            "group add g u",
            "policy attach readwrite --group g --bucket b",
        ])
        .await;
    assert!(stage.run("group delete g --yes").await.is_err());
    stage.run("group delete g --force --yes").await.unwrap();
    let gone = GetGroup { account: FIRST_ACCOUNT_ID.into(), name: "g".into(), after: None, max: 1 };
    assert!(stage.iam.get_group(gone).await.is_err());
}

#[tokio::test]
async fn a_template_is_an_inline_policy_for_one_bucket() {
    let stage = Stage::new().await;
    stage.run_all(&["user create u", "policy attach readonly --user u --bucket s3://photos"]).await;
    let policy = InlinePolicyRef { holder: user("u"), name: "readonly-photos".into() };
    let found = stage.iam.get_inline_policy(policy).await.unwrap();
    assert!(found.document.contains("arn:aws:s3:::photos/*"));
    stage.run("policy detach readonly --user u --bucket photos").await.unwrap();
    assert_eq!(stage.iam.list_inline_policies(user("u")).await.unwrap(), Vec::<String>::new());
    for wrong in [
        "policy attach AmazonS3FullAccess --user u --bucket photos",
        "policy attach readonly --user u --group g --bucket b",
        "policy attach readonly --bucket b",
        "policy attach readonly --user u",
    ] {
        assert!(stage.run(wrong).await.is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_document_is_checked_before_it_is_sent() {
    let stage = Stage::new().await;
    let file = stage.directory.path().join("policy.json");
    let create = format!("policy create p {}", file.display());
    std::fs::write(&file, r#"{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps"}]}"#).unwrap();
    let refused = format!("{:#}", stage.run(&create).await.unwrap_err());
    assert!(refused.contains("Invalid effect"), "{refused}");
    let good = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
    std::fs::write(&file, good).unwrap();
    stage
        .run_all(&[&create, "policy list", "policy show p", "user create u", "policy attach P --user u"])
        .await;
    let policy = PolicyRef { account: FIRST_ACCOUNT_ID.into(), policy: "p".into() };
    assert_eq!(stage.iam.get_policy(policy).await.unwrap().attachments, 1);
    assert!(stage.run("policy delete p --yes").await.is_err());
    stage.run_all(&["policy detach p --user u", "policy delete p --yes"]).await;
}

#[tokio::test]
async fn accounts_are_made_listed_and_deleted() {
    let stage = Stage::new().await;
    stage.run_all(&["account create sales", "account list"]).await;
    let request = cairn_protocol::iam::ListAccounts { after: None, max: 10 };
    let accounts = stage.iam.list_accounts(request).await.unwrap().entries;
    let id = accounts[1].account.id.clone();
    stage.run(&format!("user create u --account {id}")).await.unwrap();
    assert_eq!(stage.run("user show u").await.unwrap_err().to_string(), "there is no user u");
    stage.run(&format!("user delete u --force --yes --account {id}")).await.unwrap();
    stage.run(&format!("account delete {id} --yes")).await.unwrap();
}

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}]}"#;

#[tokio::test]
async fn roles_are_made_changed_and_deleted() {
    let stage = Stage::new().await;
    let file = stage.directory.path().join("trust.json");
    let create = format!("role create r {} --path /x/ --max-session 2h --description d", file.display());
    std::fs::write(&file, TRUST.replace("Principal", "Resource")).unwrap();
    assert!(stage.run(&create).await.is_err(), "the document is checked before it is sent");
    std::fs::write(&file, TRUST).unwrap();
    let trust = format!("role trust r {}", file.display());
    stage
        .run_all(&[&create, "role list", "role show r", "policy attach readwrite --role r --bucket b"])
        .await;
    let role = async || {
        let entity = EntityRef { account: FIRST_ACCOUNT_ID.into(), name: "r".into() };
        stage.iam.get_role(entity).await
    };
    let made = role().await.unwrap();
    assert_eq!((made.session_s_max, made.path.as_str(), made.description.as_str()), (7200, "/x/", "d"));
    std::fs::write(&file, TRUST.replace("Allow", "Deny")).unwrap();
    stage.run_all(&[&trust, "role update r --max-session 1h"]).await;
    let changed = role().await.unwrap();
    assert!(changed.trust.contains("Deny") && changed.session_s_max == 3600 && changed.description == "d");
    assert!(stage.run("role update r --max-session 13h").await.is_err());
    stage.run("policy set-boundary AmazonS3ReadOnlyAccess --role r").await.unwrap();
    assert!(role().await.unwrap().boundary.is_some());
    stage.run("policy remove-boundary --role r").await.unwrap();
    assert!(role().await.unwrap().boundary.is_none());
    assert!(stage.run("role delete r --yes").await.is_err());
    stage.run("role delete r --force --yes").await.unwrap();
    assert!(role().await.is_err());
}

#[tokio::test]
async fn policies_have_versions() {
    let stage = Stage::new().await;
    let file = stage.directory.path().join("policy.json");
    let good = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
    std::fs::write(&file, good).unwrap();
    let file = file.display();
    stage
        .run_all(&[
            &format!("policy create p {file}"),
            &format!("policy version create p {file}"),
            &format!("policy version create p {file} --no-default"),
            "policy version list p",
            "policy version show p v3",
        ])
        .await;
    let default = async || {
        let policy = PolicyRef { account: FIRST_ACCOUNT_ID.into(), policy: "p".into() };
        stage.iam.get_policy(policy).await.unwrap().default_version
    };
    assert_eq!(default().await, 2);
    assert!(stage.run("policy version delete p v2 --yes").await.is_err(), "it applies");
    stage.run_all(&["policy version apply p v3", "policy version delete p v2 --yes"]).await;
    assert_eq!(default().await, 3);
    assert!(stage.run("policy version show p v2").await.is_err());
    assert!(stage.run("policy version show p latest").await.is_err());
}

#[tokio::test]
async fn providers_are_made_changed_and_deleted() {
    let stage = Stage::new().await;
    let print = "a".repeat(40);
    stage
        .run_all(&[
            &format!("oidc create https://id.example.com --client-id a --client-id b --thumbprint {print}"),
            "oidc list",
            "oidc show id.example.com",
            "oidc update https://id.example.com --client-id c",
        ])
        .await;
    let account = || FIRST_ACCOUNT_ID.to_owned();
    let list = async || {
        stage.iam.list_oidc_providers(cairn_protocol::iam::AccountRef { account: account() }).await.unwrap()
    };
    assert_eq!(
        (list().await[0].client_ids.clone(), list().await[0].thumbprints.clone()),
        (vec!["c".to_owned()], vec![print])
    );
    for wrong in [
        "oidc create https://id.example.org",
        "oidc create http://id.example.org --client-id a",
        "oidc update https://id.example.com",
        "oidc delete https://id.example.com",
    ] {
        assert!(stage.run(wrong).await.is_err(), "{wrong}");
    }
    stage.run("oidc delete https://id.example.com --yes").await.unwrap();
    assert_eq!(list().await, []);
}

#[tokio::test]
async fn a_quota_of_a_user_is_set_and_one_limit_at_a_time_is_changed() {
    use cairn_protocol::metadata::Quota;
    let stage = Stage::new().await;
    let quota = async || {
        let ann = EntityRef { account: FIRST_ACCOUNT_ID.into(), name: "ann".into() };
        stage.iam.get_user(ann).await.unwrap().quota
    };
    stage.run_all(&["user create ann", "user set ann --quota 10GiB --quota-objects 7"]).await;
    assert_eq!(quota().await, Quota { objects: Some(7), bytes: Some(10 << 30) });
    stage.run_all(&["user set ann --quota none", "user list", "user show ann"]).await;
    assert_eq!(quota().await, Quota { objects: Some(7), bytes: None });
    for wrong in ["user set ann", "user set ann --quota much", "user set nobody --quota 1GiB"] {
        assert!(stage.run(wrong).await.is_err(), "{wrong}");
    }
}
