//! Both sides of signed calls, without a network between them.

mod properties;

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;

use super::*;
use crate::env::{Env, ManualClock, Timestamp};
use crate::secret::{CLOCK_SKEW_MAX, ClusterSecret, SecretError};

const PATH: &str = "/v1/thing/do";
const NOW: Timestamp = Timestamp(1_700_000_000_000);

struct World {
    env: Env,
    clock: ManualClock,
    signer: Signer,
    admission: Admission,
}

fn secret() -> ClusterSecret {
    ClusterSecret::new("0123456789abcdef0123456789abcdef").unwrap()
}

fn world() -> World {
    let (env, clock) = Env::manual(3, NOW);
    let signer = Signer::new(secret(), env.clone());
    let admission = Admission::new(secret(), env.clone());
    World { env, clock, signer, admission }
}

/// Both sides, after the caller got the epoch.
fn introduced() -> World {
    let world = world();
    world.introduce();
    world
}

fn headers(authorization: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::AUTHORIZATION, authorization.parse().unwrap())])
}

impl World {
    fn admit(&self, authorization: &str) -> Result<Admitted, Refusal> {
        self.admission.admit("POST", PATH, &headers(authorization), 1000)
    }

    fn error(&self, authorization: &str) -> SecretError {
        self.admit(authorization).unwrap_err().error
    }

    /// Gives the caller the epoch, as a refusal does.
    fn introduce(&self) {
        let call = self.signer.sign("POST", PATH, b"");
        let refusal = self.admit(&call.authorization).unwrap_err();
        assert_eq!(refusal.error, SecretError::OtherEpoch);
        let (epoch, signature) = self.admission.sign_answer(&refusal.proven.unwrap(), 403, b"no");
        assert!(self.signer.is_authentic(&call, 403, &epoch, &signature, b"no"));
        assert!(self.signer.learn(&call, &epoch));
    }

    fn sign(&self, body: &[u8]) -> String {
        self.signer.sign("POST", PATH, body).authorization
    }
}

/// An attacker who could record a call could send it again for five minutes, and it was executed again.
#[test]
fn a_call_is_admitted_once() {
    let world = world();
    world.introduce();
    let calls: Vec<_> = (0..5).map(|_| world.sign(b"{}")).collect();
    // The calls may arrive in any order.
    for call in [&calls[4], &calls[0], &calls[2]] {
        world.admit(call).unwrap();
        assert_eq!(world.error(call), SecretError::Replayed);
    }
    // Another caller's numbers are its own.
    let other = Signer::new(secret(), world.env.clone());
    other.learn(
        &other.sign("POST", PATH, b""),
        &world.admission.sign_answer(&world.admit(&calls[1]).unwrap(), 200, b"").0,
    );
    world.admit(&other.sign("POST", PATH, b"{}").authorization).unwrap();
}

#[test]
fn a_recorded_call_is_refused_after_a_restart_and_by_other_parts() {
    let mut world = world();
    world.introduce();
    let (served, held_back) = (world.sign(b"{}"), world.sign(b"{}"));
    world.admit(&served).unwrap();
    // Another start, or another part, with the same secret at the same time.
    world.admission = Admission::new(secret(), world.env.clone());
    assert_eq!(world.error(&served), SecretError::OtherEpoch);
    assert_eq!(world.error(&held_back), SecretError::OtherEpoch);
    world.introduce();
    world.admit(&world.sign(b"{}")).unwrap();
}

#[test]
fn a_call_stays_recorded_for_as_long_as_it_would_be_accepted() {
    let world = world();
    world.introduce();
    let mut seen = Vec::new();
    for _ in 0..40 {
        let call = world.sign(b"{}");
        match world.admit(&call) {
            Ok(_) => seen.push(call),
            // Two epochs have ended since the caller got its epoch. The refusal has the current one.
            Err(refusal) => assert_eq!(refusal.error, SecretError::OtherEpoch),
        }
        for call in &seen {
            let error = world.error(call);
            assert_ne!(error, SecretError::Mismatch);
        }
        world.introduce_if_needed();
        world.clock.advance(Duration::from_secs(60));
    }
    assert!(seen.len() > 35);
}

impl World {
    fn introduce_if_needed(&self) {
        let call = self.signer.sign("POST", PATH, b"");
        let admitted = match self.admit(&call.authorization) {
            Ok(admitted) => admitted,
            Err(refusal) => refusal.proven.unwrap(),
        };
        let (epoch, _) = self.admission.sign_answer(&admitted, 200, b"");
        self.signer.learn(&call, &epoch);
    }
}

#[test]
fn a_call_is_valid_for_its_method_path_and_time_only() {
    let world = world();
    world.introduce();
    let admit = |method: &str, path: &str, call: &str| {
        world.admission.admit(method, path, &headers(call), 1000).map(drop).map_err(|refusal| refusal.error)
    };
    let call = world.sign(b"{}");
    assert_eq!(admit("PUT", PATH, &call), Err(SecretError::Mismatch));
    assert_eq!(admit("POST", "/v1/thing/undo", &call), Err(SecretError::Mismatch));
    assert_eq!(admit("POST", PATH, ""), Err(SecretError::Malformed));
    assert_eq!(admit("POST", PATH, &format!("{call}.x")), Err(SecretError::Malformed));
    assert_eq!(admit("POST", PATH, &call), Ok(()));
    let call = world.sign(b"{}");
    world.clock.advance(CLOCK_SKEW_MAX + Duration::from_millis(1));
    assert_eq!(admit("POST", PATH, &call), Err(SecretError::Expired));
}

#[test]
fn every_field_of_a_call_is_signed() {
    let world = world();
    world.introduce();
    let call = world.sign(b"{}");
    let (scheme, token) = call.split_once(' ').unwrap();
    let fields: Vec<&str> = token.split('.').collect();
    // The fields are epoch, caller, number, time, length and digest.
    for changed in 1..=6 {
        let mut forged: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        let last = forged[changed].pop().unwrap();
        forged[changed].push(if last == '1' { '2' } else { '1' });
        let error = world.error(&format!("{scheme} {}", forged.join(".")));
        assert_eq!(error, SecretError::Mismatch, "field {changed}");
    }
}

/// The metanode sent its key id to every caller with a wrong one. With the right key id, and without the secret, a caller could
/// make it buffer a body of 64 MiB.
#[test]
fn an_answer_to_an_unauthenticated_caller_contains_no_secret() {
    let world = world();
    let other =
        Signer::new(ClusterSecret::new("another secret that is long enough").unwrap(), world.env.clone());
    let key_id = secret().key_id().to_owned();
    let forged = world.sign(b"{}").rsplit_once('.').unwrap().0.to_owned() + "." + &"0".repeat(64);
    for authorization in [other.sign("POST", PATH, b"").authorization, format!("Cairn {key_id}.1.x"), forged]
    {
        let refusal = world.admit(&authorization).unwrap_err();
        assert!(refusal.proven.is_none(), "nothing is signed for a stranger");
        assert!(!refusal.error.to_string().contains(&key_id), "{}", refusal.error);
    }
}

#[test]
fn calls_of_older_versions_get_an_error_that_names_the_reason() {
    let world = world();
    let old = format!("Cairn {}.{}.{}", secret().key_id(), NOW.0, "0".repeat(64));
    assert_eq!(world.error(&old), SecretError::OldVersion);
}

#[test]
fn a_length_that_is_too_large_or_not_the_signed_one_is_refused_by_the_head() {
    let world = world();
    world.introduce();
    assert_eq!(world.error(&world.sign(&[b'x'; 1001])), SecretError::OtherBody);
    for length in ["1", "3", "18446744073709551615", "two"] {
        let mut headers = headers(&world.sign(b"{}"));
        headers.insert(header::CONTENT_LENGTH, length.parse().unwrap());
        let refusal = world.admission.admit("POST", PATH, &headers, 1000).unwrap_err();
        assert_eq!(refusal.error, SecretError::OtherBody);
    }
}

async fn read(world: &World, signed: &[u8], sent: &[&'static [u8]]) -> Result<Bytes, BodyError> {
    let admitted = world.admit(&world.sign(signed)).unwrap();
    let pieces =
        sent.iter().map(|piece| Ok::<_, std::io::Error>(Bytes::from_static(piece))).collect::<Vec<_>>();
    world.admission.read_body(&admitted, Body::from_stream(futures_util::stream::iter(pieces))).await
}

#[tokio::test]
async fn a_body_is_taken_if_it_is_the_one_that_was_signed() {
    let world = world();
    world.introduce();
    assert_eq!(read(&world, b"hello", &[b"hel", b"lo"]).await.unwrap(), "hello");
    assert_eq!(read(&world, b"", &[]).await.unwrap(), "");
    // Other bytes, fewer bytes, and more bytes in different pieces.
    for sent in [&[&b"jello"[..]][..], &[b"hell"], &[b"hello", b"!"], &[b"hello hello"], &[]] {
        let error = read(&world, b"hello", sent).await.unwrap_err();
        assert!(matches!(error, BodyError::NotAsSigned(SecretError::OtherBody)), "{error:?}");
    }
}

#[test]
fn an_answer_is_valid_for_its_call_only() {
    let world = world();
    world.introduce();
    let (first, second) = (world.signer.sign("POST", PATH, b"1"), world.signer.sign("POST", PATH, b"2"));
    let admitted = world.admit(&first.authorization).unwrap();
    let (epoch, signature) = world.admission.sign_answer(&admitted, 200, b"done");
    let authentic =
        |call, status, epoch: &str, body| world.signer.is_authentic(call, status, epoch, &signature, body);
    assert!(authentic(&first, 200, &epoch, b"done"));
    assert!(!authentic(&second, 200, &epoch, b"done"));
    assert!(!authentic(&first, 404, &epoch, b"done"));
    assert!(!authentic(&first, 200, &epoch, b"gone"));
    assert!(!authentic(&first, 200, &"0".repeat(32), b"done"));
    assert!(!world.signer.is_authentic(&first, 200, &epoch, "", b"done"));
}

/// One caller's memory is bounded by its window; many callers' by the number of them.
#[test]
fn too_many_callers_begin_an_epoch_and_no_caller_is_refused_for_good() {
    let world = world();
    world.introduce();
    let call = world.sign(b"{}");
    let epoch = world.admission.sign_answer(&world.admit(&call).unwrap(), 200, b"").0;
    for _ in 0..33_000 {
        let one = Signer::new(secret(), world.env.clone());
        one.learn(&one.sign("POST", PATH, b""), &epoch);
        world.admit(&one.sign("POST", PATH, b"").authorization).unwrap();
    }
    // The first caller's call is still recorded, and its later calls are admitted.
    assert_eq!(world.error(&call), SecretError::Replayed);
    world.introduce_if_needed();
    world.admit(&world.sign(b"{}")).unwrap();
}
