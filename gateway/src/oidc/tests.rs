//! Tokens of a provider of the test's own, on this machine.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_protocol::env::{Env, ManualClock, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const NOW_S: u64 = 1_800_000_000;

struct Signer {
    id: &'static str,
    pair: EcdsaKeyPair,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let scheme = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(scheme, &random).unwrap();
        Self { id, pair: EcdsaKeyPair::from_pkcs8(scheme, document.as_ref(), &random).unwrap() }
    }

    fn public(&self) -> Value {
        // 4, and the two coordinates.
        let point = self.pair.public_key().as_ref();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": self.id,
               "x": encode(&point[1..33]), "y": encode(&point[33..])})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A provider that answers with these keys, and counts the requests.
struct World {
    provider: Provider,
    keys: Arc<Mutex<Vec<Value>>>,
    requests: Arc<Mutex<Vec<String>>>,
    cache: ProviderKeys,
    clock: ManualClock,
    env: Env,
}

impl World {
    async fn new(signers: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let keys = Arc::new(Mutex::new(signers.iter().map(|signer| signer.public()).collect()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (shown, asked, issuer) = (keys.clone(), requests.clone(), url.clone());
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut head = vec![0; 4096];
                let length = connection.read(&mut head).await.unwrap();
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let document = if path == "/keys" {
                    let keys: Vec<Value> = Vec::clone(&shown.lock().unwrap());
                    json!({ "keys": keys })
                } else {
                    json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")})
                };
                asked.lock().unwrap().push(path);
                let body = document.to_string();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let (env, clock) = Env::manual(1, Timestamp(NOW_S * 1000));
        let provider = Provider { url, thumbprints: Vec::new() };
        Self { provider, keys, requests, cache: ProviderKeys::new(env.clone()), clock, env }
    }

    fn claims(&self) -> Value {
        json!({"iss": self.provider.url, "sub": "job", "aud": ["cairn"], "iat": NOW_S, "exp": NOW_S + 300})
    }

    fn token(&self, signer: &Signer) -> String {
        signer.sign(&json!({"alg": "ES256", "kid": signer.id}), &self.claims())
    }

    async fn verify(&self, text: &str) -> Result<Claims, TokenError> {
        WebToken::parse(text)?.verify(&self.provider, &self.cache, self.env.now()).await
    }

    fn fetches(&self) -> usize {
        self.requests.lock().unwrap().iter().filter(|path| *path == "/keys").count()
    }
}

fn is_invalid(outcome: &Result<Claims, TokenError>) -> bool {
    matches!(outcome, Err(TokenError::Invalid(_)))
}

#[tokio::test]
async fn a_token_is_verified_with_the_key_that_it_names() {
    let (one, two) = (Signer::new("one"), Signer::new("two"));
    let world = World::new(&[&one, &two]).await;
    assert_eq!(world.verify(&world.token(&one)).await.unwrap().sub, "job");
    assert_eq!(world.verify(&world.token(&two)).await.unwrap().sub, "job");
    assert_eq!(world.fetches(), 1);
    let swapped = one.sign(&json!({"alg": "ES256", "kid": "two"}), &world.claims());
    assert!(is_invalid(&world.verify(&swapped).await));
    let unnamed = one.sign(&json!({"alg": "ES256"}), &world.claims());
    assert!(is_invalid(&world.verify(&unnamed).await), "which of the two keys is meant is not known");
}

#[tokio::test]
async fn a_token_of_which_anything_was_changed_is_refused() {
    let signer = Signer::new("one");
    let world = World::new(&[&signer]).await;
    let token = world.token(&signer);
    assert!(world.verify(&token).await.is_ok());
    for at in (0..token.len()).filter(|at| token.as_bytes()[*at] != b'.') {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(world.verify(&changed).await.is_err(), "{at}");
    }
    let other = signer.sign(&json!({"alg": "RS256", "kid": "one"}), &world.claims());
    assert!(is_invalid(&world.verify(&other).await), "the key is for another algorithm");
    world.clock.advance(Duration::from_secs(360));
    assert_eq!(world.verify(&token).await.unwrap_err(), TokenError::Expired { at_s: NOW_S + 300 });
}

#[tokio::test]
async fn new_keys_are_fetched_when_a_token_names_one_but_not_often() {
    let (old, new, stranger) = (Signer::new("old"), Signer::new("new"), Signer::new("stranger"));
    let world = World::new(&[&old]).await;
    let token = |signer: &Signer| world.token(signer);
    assert!(world.verify(&token(&old)).await.is_ok());
    *world.keys.lock().unwrap() = vec![new.public()];
    assert!(is_invalid(&world.verify(&token(&new)).await), "the keys were fetched a moment ago");
    assert_eq!(world.fetches(), 1);
    world.clock.advance(Duration::from_secs(10));
    assert!(world.verify(&token(&new)).await.is_ok());
    assert_eq!(world.fetches(), 2);
    for _ in 0..20 {
        assert!(is_invalid(&world.verify(&token(&stranger)).await));
    }
    assert_eq!(world.fetches(), 2, "made-up keys do not flood the provider");
    assert!(world.verify(&token(&new)).await.is_ok());
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_not_reached() {
    let signer = Signer::new("one");
    let mut world = World::new(&[&signer]).await;
    let token = world.token(&signer);
    // Nobody listens there any more.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    world.provider.url = format!("http://{closed}");
    assert_eq!(world.verify(&token).await.unwrap_err(), TokenError::Unreachable);
}
