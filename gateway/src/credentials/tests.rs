//! Promises about the cache of secrets: when it sends look-ups to the metanode, and which secret it returns while the
//! metanode does not answer.

use std::sync::atomic::{AtomicUsize, Ordering};

use cairn_protocol::env::{ManualClock, Timestamp};
use cairn_protocol::iam::HolderTags;
use cairn_protocol::metadata::{AccessEpoch, Account, Identity, IdentityPolicies};

use super::*;

/// A keyring over a metanode that has one key, or does not answer.
#[derive(Clone)]
struct World {
    keyring: Keyring,
    clock: ManualClock,
    state: Arc<StoreState>,
}

struct StoreState {
    keys: Mutex<Result<HashMap<String, String>, MetadataError>>,
    asked: AtomicUsize,
    /// While a test holds this lock, no look-up completes.
    thinks: tokio::sync::Mutex<()>,
}

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";

fn key() -> AccessKeyRef {
    AccessKeyRef::long_term(KEY)
}

fn world() -> World {
    let (env, clock) = Env::manual(1, Timestamp(1));
    let state = Arc::new(StoreState {
        keys: Mutex::new(Ok(HashMap::from([(KEY.to_owned(), "first".to_owned())]))),
        asked: AtomicUsize::new(0),
        thinks: tokio::sync::Mutex::new(()),
    });
    let metanode = state.clone();
    let find: Find = Box::new(move |request| {
        let metanode = metanode.clone();
        Box::pin(async move {
            metanode.asked.fetch_add(1, Ordering::SeqCst);
            let _thought = metanode.thinks.lock().await;
            let keys = metanode.keys.lock().unwrap().clone()?;
            Ok(keys.get(&request.access_key).map(|secret| AccessKey {
                secret_key: secret.clone(),
                identity: Identity::Root { account: Account::first() },
                policies: IdentityPolicies::default(),
                session: None,
                tags: HolderTags::new(),
                has_quota: false,
                epoch: AccessEpoch::default(),
            }))
        })
    });
    World { keyring: Keyring::over(find, env), clock, state }
}

impl World {
    async fn secret(&self) -> S3Result<Option<String>> {
        Ok(self.keyring.secret(&key()).await?.map(|holder| text(holder.secret())))
    }

    fn set(&self, secret: Option<&str>) {
        let keys = secret.map(|secret| (KEY.to_owned(), secret.to_owned()));
        *self.state.keys.lock().unwrap() = Ok(keys.into_iter().collect());
    }

    fn fall_silent(&self) {
        *self.state.keys.lock().unwrap() = Err(MetadataError::Unavailable { reason: "down".to_owned() });
    }

    fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// Waits until no look-up is in progress.
    async fn settled(&self) {
        loop {
            let flight = self.keyring.0.cache().flights.values().next().cloned();
            let Some(flight) = flight else { return };
            let _ = flight.await;
        }
    }
}

fn text(secret: &SecretKey) -> String {
    ["first", "second"].into_iter().find(|text| secret.is(&SecretKey::new(*text))).unwrap().to_owned()
}

/// A gateway loaded the credentials once. A secret that was changed or deleted later stayed valid on that gateway, and a new
/// one was refused.
#[tokio::test]
async fn a_changed_or_deleted_secret_takes_effect_within_the_time_limit() {
    let world = world();
    assert_eq!(world.secret().await.unwrap().as_deref(), Some("first"));
    world.set(Some("second"));
    world.clock.advance(FRESH_FOR);
    assert_eq!(world.secret().await.unwrap().as_deref(), Some("second"));
    world.set(None);
    world.clock.advance(FRESH_FOR);
    assert_eq!(world.secret().await.unwrap(), None);
}

#[tokio::test]
async fn a_fresh_secret_needs_no_look_up_and_its_renewal_delays_no_request() {
    let world = world();
    for _ in 0..100 {
        world.secret().await.unwrap();
    }
    assert_eq!(world.asked(), 1);
    world.set(Some("second"));
    world.clock.advance(FRESH_FOR / 2);
    let thinking = world.state.thinks.lock().await;
    assert_eq!(world.secret().await.unwrap().as_deref(), Some("first"), "while it is looked up anew");
    drop(thinking);
    world.settled().await;
    assert_eq!(world.secret().await.unwrap().as_deref(), Some("second"));
    assert_eq!(world.asked(), 2);
}

#[tokio::test]
async fn concurrent_requests_share_one_look_up() {
    let world = world();
    let thinking = world.state.thinks.lock().await;
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move { world.secret().await.unwrap() })
        })
        .collect();
    while world.asked() == 0 {
        tokio::task::yield_now().await;
    }
    drop(thinking);
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap().as_deref(), Some("first"));
    }
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn signatures_that_do_not_match_cause_a_limited_number_of_look_ups() {
    let world = world();
    let used = world.keyring.secret(&key()).await.unwrap().unwrap();
    world.set(Some("second"));
    assert!(world.keyring.newer(&key(), used.secret()).await.unwrap().is_none(), "it was told just now");
    world.clock.advance(RECHECK_AFTER);
    let newer = world.keyring.newer(&key(), used.secret()).await.unwrap().unwrap();
    assert_eq!(text(newer.secret()), "second");
    for _ in 0..10 {
        assert!(world.keyring.newer(&key(), newer.secret()).await.unwrap().is_none());
    }
    assert_eq!(world.asked(), 2);
    world.clock.advance(RECHECK_AFTER);
    assert!(world.keyring.newer(&key(), newer.secret()).await.unwrap().is_none(), "it is the same");
}

#[tokio::test]
async fn the_last_known_secret_is_used_for_a_limited_time_while_the_metanode_does_not_answer() {
    let world = world();
    world.secret().await.unwrap();
    world.fall_silent();
    let began = Duration::from_secs(6);
    world.clock.advance(began);
    assert_eq!(world.secret().await.unwrap().as_deref(), Some("first"));
    // After a failed look-up, requests do not wait for the next one.
    let thinking = world.state.thinks.lock().await;
    assert_eq!(world.secret().await.unwrap().as_deref(), Some("first"));
    drop(thinking);
    world.settled().await;
    world.clock.advance(KEPT_FOR - began - Duration::from_millis(1));
    assert_eq!(world.secret().await.unwrap().as_deref(), Some("first"));
    world.settled().await;
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.secret().await.unwrap_err().code(), crate::error::ErrorCode::SlowDown);
    world.set(Some("second"));
    assert_eq!(world.secret().await.unwrap().as_deref(), Some("second"));
    assert_eq!(world.secret().await.unwrap().as_deref(), Some("second"));
}

#[tokio::test]
async fn absent_keys_are_looked_up_rarely_and_the_cache_of_them_is_bounded() {
    let world = world();
    world.set(None);
    for _ in 0..10 {
        assert_eq!(world.secret().await.unwrap(), None);
    }
    assert_eq!(world.asked(), 1);
    world.set(Some("first"));
    world.clock.advance(ABSENT_FOR);
    assert_eq!(world.secret().await.unwrap().as_deref(), Some("first"));

    let before = world.asked();
    assert!(world.keyring.secret(&AccessKeyRef::long_term("K".repeat(129))).await.unwrap().is_none());
    assert_eq!(world.asked(), before, "nobody has a key so long");
    for number in 0..ABSENT_MAX.get() + 100 {
        assert!(
            world
                .keyring
                .secret(&AccessKeyRef::long_term(format!("STRANGER{number}")))
                .await
                .unwrap()
                .is_none()
        );
    }
    let cache = world.keyring.0.cache();
    assert_eq!((cache.absent.len(), cache.known.len(), cache.flights.len()), (ABSENT_MAX.get(), 1, 0));
}

#[tokio::test]
async fn concurrent_look_ups_of_unknown_keys_are_limited() {
    let world = world();
    let thinking = world.state.thinks.lock().await;
    let waiting: Vec<_> = (0..200)
        .map(|number| {
            let keyring = world.keyring.clone();
            tokio::spawn(async move {
                keyring.secret(&AccessKeyRef::long_term(format!("STRANGER{number}"))).await.unwrap()
            })
        })
        .collect();
    loop {
        let under_way = world.keyring.0.cache().flights.len();
        if under_way == 200 && world.asked() == LOOK_UPS_MAX {
            break;
        }
        tokio::task::yield_now().await;
    }
    drop(thinking);
    for waiting in waiting {
        assert!(waiting.await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_keyring_is_ready_when_the_metanode_has_answered() {
    let world = world();
    assert!(!world.keyring.is_ready());
    world.keyring.begin(RootCredentials { access_key: KEY.into(), secret_key: "first".into() });
    world.keyring.filled().await;
    assert!(world.keyring.is_ready());
    assert_eq!(world.secret().await.unwrap().as_deref(), Some("first"));
    assert_eq!(world.asked(), 0);
}
