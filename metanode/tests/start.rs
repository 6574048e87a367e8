//! The promises of a metanode about its start and its end.

use std::sync::Arc;

use cairn_metanode::{
    Config, DirectoryError, MasterKey, MasterKeyError, MasterKeySource, Metanode, OpenError,
};
use cairn_protocol::env::Env;
use cairn_protocol::event::{Event, EventBus, EventKind};
use cairn_protocol::id::ClusterId;
use cairn_protocol::metadata::{Metadata, RootCredentials, RootCredentialsRequest};
use cairn_protocol::rpc::{RpcClient, client_builder};
use cairn_protocol::secret::ClusterSecret;
use cairn_protocol::tls::Identity;
use tokio_util::sync::CancellationToken;

fn secret() -> ClusterSecret {
    ClusterSecret::new("a secret that is long enough for tests").unwrap()
}

async fn open(config: Config) -> Result<Metanode, OpenError> {
    let env = Env::system();
    Metanode::open(config, secret(), env.clone(), EventBus::new(env)).await
}

#[tokio::test]
async fn credentials_and_cluster_id_are_made_once_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(Config::new(directory.path())).await.unwrap();
    let made = first.root_credentials().clone();
    assert!(first.root_credentials_are_new());
    assert_eq!((made.access_key.len(), made.secret_key.len()), (20, 40));
    assert!(made.access_key.starts_with("CAIRN"));
    assert!(made.access_key.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()));
    let cluster = first.cluster_id();
    first.close().await;
    drop(first);

    let second = open(Config::new(directory.path())).await.unwrap();
    assert_eq!(second.root_credentials(), &made);
    assert!(!second.root_credentials_are_new());
    assert_eq!(second.cluster_id(), cluster);
}

#[tokio::test]
async fn configured_credentials_win() {
    let directory = tempfile::tempdir().unwrap();
    let configured =
        RootCredentials { access_key: "admin".to_owned(), secret_key: "correct horse".to_owned() };
    let config = Config { root_credentials: Some(configured.clone()), ..Config::new(directory.path()) };
    let metanode = open(config).await.unwrap();
    let told = metanode.metadata().root_credentials(RootCredentialsRequest {}).await.unwrap();
    assert_eq!(told, configured);
}

#[tokio::test]
async fn another_master_key_and_a_lost_one_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(Config::new(directory.path())).await.unwrap();
    first.close().await;
    drop(first);
    let file = directory.path().join("master.key");
    let text = std::fs::read_to_string(&file).unwrap();

    let with = |source| Config { master_key: source, ..Config::new(directory.path()) };
    let other = MasterKeySource::Given(MasterKey::parse(&"1".repeat(64)).unwrap());
    let refused = open(with(other)).await.err().unwrap();
    assert!(matches!(refused, OpenError::MasterKey(MasterKeyError::Wrong { .. })), "{refused}");
    let words = "the master key is not the one that sealed the secrets of this cluster";
    assert!(refused.to_string().starts_with(words), "{refused}");

    // A lost key is not replaced by a new one.
    std::fs::remove_file(&file).unwrap();
    let refused = open(Config::new(directory.path())).await.err().unwrap();
    assert!(matches!(refused, OpenError::MasterKey(MasterKeyError::Missing(_))), "{refused}");
    assert!(!file.exists());

    let given = MasterKeySource::Given(MasterKey::parse(&text).unwrap());
    open(with(given)).await.unwrap();
}

#[tokio::test]
async fn a_second_process_on_the_same_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(Config::new(directory.path())).await.unwrap();
    let second = open(Config::new(directory.path())).await.err().unwrap();
    assert!(matches!(second, OpenError::Directory(DirectoryError::InUse { .. })), "{second}");
    first.close().await;
}

#[tokio::test]
async fn the_database_of_another_cluster_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(Config::new(directory.path())).await.unwrap();
    let cluster = first.cluster_id();
    first.close().await;
    drop(first);
    let wanted = ClusterId(Env::system().uuid_v4());
    let refused =
        open(Config { cluster: Some(wanted), ..Config::new(directory.path()) }).await.err().unwrap();
    assert!(
        matches!(refused, OpenError::OtherCluster { theirs, wanted: asked } if theirs == cluster && asked == wanted),
        "{refused}"
    );
}

#[tokio::test]
async fn a_configuration_that_cannot_be_kept_is_refused_before_anything_is_touched() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("data");
    let mut config = Config::new(&directory);
    config.blocks.min_replicas = config.blocks.replication + 1;
    let refused = open(config).await.err().unwrap();
    assert!(matches!(refused, OpenError::Config(_)), "{refused}");
    assert!(!directory.exists());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("metanode.db"), "not a database at all".repeat(100)).unwrap();
    let refused = open(Config::new(directory.path())).await.err().unwrap();
    assert!(matches!(refused, OpenError::Store(_)), "{refused}");
}

#[tokio::test]
async fn health_is_open_and_events_are_for_those_who_know_the_secret() {
    let directory = tempfile::tempdir().unwrap();
    let env = Env::system();
    let events = EventBus::new(env.clone());
    let metanode =
        Metanode::open(Config::new(directory.path()), secret(), env.clone(), events.clone()).await.unwrap();
    let metanode = Arc::new(metanode);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    let server = tokio::spawn({
        let (metanode, shutdown) = (metanode.clone(), shutdown.clone());
        async move { metanode.serve(listener, shutdown).await }
    });

    let identity = Identity::of_secret(&secret(), env.clone()).unwrap();
    let http = client_builder(&identity).unwrap().build().unwrap();
    let status = http.get(format!("{base}/health")).send().await.unwrap().status();
    assert_eq!(status, 200);
    let anonymous = http.get(format!("{base}/events")).send().await.unwrap();
    assert_eq!(anonymous.status(), 403);

    let last = events.last_sequence();
    events.publish(EventKind::GarbageCollected { blocks: 3 });
    let path = format!("/events?after={last}");
    let client = RpcClient::new(&base, secret(), env.clone()).unwrap();
    let mut answer = client.get_stream(&path).await.unwrap();
    let line = answer.chunk().await.unwrap().unwrap();
    let event: Event = serde_json::from_slice(&line).unwrap();
    assert_eq!(event.kind, EventKind::GarbageCollected { blocks: 3 });
    assert!(line.ends_with(b"\n"));

    assert_eq!(
        &client.root_credentials(RootCredentialsRequest {}).await.unwrap(),
        metanode.root_credentials()
    );

    // A stream of events must not delay the shutdown.
    shutdown.cancel();
    assert_eq!(server.await.unwrap().cut, 0);
    assert!(answer.chunk().await.unwrap().is_none());
    metanode.close().await;
}
