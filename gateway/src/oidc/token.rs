//! What a token says, and whether its signature, its times and its audience are right.

use std::time::Duration;

use cairn_protocol::env::Timestamp;
use jsonwebtoken::{DecodingKey, Header, Validation};
use serde::Deserialize;

use super::keys::NoKey;
use super::verifiers::{self, ALGORITHMS};
use super::{Provider, ProviderKeys};

/// The difference between the clocks of provider and gateway that is allowed.
const SKEW: Duration = Duration::from_secs(60);

/// What a token says (RFC 7519, section 4.1; OpenID Connect Core 1.0, section 2).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Claims {
    /// The URL of the provider.
    pub(crate) iss: String,
    /// Whom the token is about.
    pub(crate) sub: String,
    aud: OneOrMany,
    exp: f64,
    iat: Option<f64>,
    nbf: Option<f64>,
    /// How the subject was authenticated.
    #[serde(default)]
    pub(crate) amr: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Claims {
    /// The first of the token's audiences that is one of these.
    pub(crate) fn audience_among(&self, client_ids: &[String]) -> Option<String> {
        let audiences = match &self.aud {
            OneOrMany::One(one) => std::slice::from_ref(one),
            OneOrMany::Many(many) => many,
        };
        audiences.iter().find(|audience| client_ids.contains(audience)).cloned()
    }
}

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// It is not a token, or not signed by a key of the provider.
    Invalid(String),
    /// It has expired.
    Expired {
        /// When, in seconds since 1970.
        at_s: u64,
    },
    /// It is not valid yet, or says that it was issued in the future.
    NotYet,
    /// The provider's keys cannot be fetched.
    Unreachable,
}

/// A token whose signature is not verified yet. What it claims serves to find the provider that must have signed it.
#[derive(Clone, Debug)]
pub(crate) struct WebToken<'a> {
    text: &'a str,
    header: Header,
    /// The provider that it claims to be of.
    pub(crate) issuer: String,
}

#[derive(Deserialize)]
struct Issuer {
    iss: String,
}

impl<'a> WebToken<'a> {
    /// Parses a token.
    ///
    /// # Errors
    /// [`TokenError::Invalid`].
    pub(crate) fn parse(text: &'a str) -> Result<Self, TokenError> {
        let invalid = |_| TokenError::Invalid("The ID Token provided is not a valid JWT.".to_owned());
        let header = jsonwebtoken::decode_header(text).map_err(invalid)?;
        if !ALGORITHMS.contains(&header.alg) {
            let message = format!("The ID Token is signed with {:?}, which is not supported.", header.alg);
            return Err(TokenError::Invalid(message));
        }
        let claims: Issuer = jsonwebtoken::dangerous::insecure_decode_claims(text).map_err(invalid)?;
        Ok(Self { text, header, issuer: claims.iss })
    }

    /// Verifies signature and times, and returns the claims. The caller checks the audience.
    ///
    /// # Errors
    /// Why the token is refused.
    pub(crate) async fn verify(
        &self,
        provider: &Provider,
        keys: &ProviderKeys,
        now: Timestamp,
    ) -> Result<Claims, TokenError> {
        let invalid = |message: &str| TokenError::Invalid(message.to_owned());
        let key = keys.find(provider, self.header.kid.as_deref()).await.map_err(|error| match error {
            NoKey::Unreachable => TokenError::Unreachable,
            NoKey::Unknown => invalid("Couldn't retrieve verification key from your identity provider."),
        })?;
        let wrong = |_| invalid("The signature of the ID Token does not match.");
        // A key that says which algorithm it is for is for no other (RFC 8725, section 3.1).
        let is_for_another = |algorithm: jsonwebtoken::jwk::KeyAlgorithm| {
            algorithm.to_string() != format!("{:?}", self.header.alg)
        };
        if key.common.key_algorithm.is_some_and(is_for_another) {
            return Err(invalid("The key of the ID Token is for another algorithm."));
        }
        let key = DecodingKey::from_jwk(&key).map_err(wrong)?;
        verifiers::install();
        let mut validation = Validation::new(self.header.alg);
        // The times are checked below, by the gateway's clock.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let claims = jsonwebtoken::decode::<Claims>(self.text, &key, &validation).map_err(wrong)?.claims;
        if claims.iss != self.issuer {
            return Err(invalid("The issuer of the ID Token is not the provider."));
        }
        check_times(&claims, now)?;
        Ok(claims)
    }
}

fn check_times(claims: &Claims, now: Timestamp) -> Result<(), TokenError> {
    // Seconds of these sizes are whole numbers in a f64.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this millennium are exact")]
    let now_s = now.0 as f64 / 1000.0;
    let skew_s = SKEW.as_secs_f64();
    let is_time = |time: f64| time.is_finite() && time >= 0.0;
    if !is_time(claims.exp) || now_s >= claims.exp + skew_s {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
        return Err(TokenError::Expired { at_s: claims.exp as u64 });
    }
    for begins in [claims.nbf, claims.iat].into_iter().flatten() {
        if !is_time(begins) || begins > now_s + skew_s {
            return Err(TokenError::NotYet);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(exp: f64, iat: Option<f64>, nbf: Option<f64>) -> Claims {
        let aud = OneOrMany::Many(vec!["a".into(), "b".into()]);
        Claims { iss: "i".into(), sub: "s".into(), aud, exp, iat, nbf, amr: Vec::new() }
    }

    #[test]
    fn times_are_checked_with_a_minute_of_skew() {
        let now = Timestamp(1_000_000);
        assert_eq!(check_times(&claims(1000.0, Some(1000.0), None), now), Ok(()));
        assert_eq!(check_times(&claims(941.0, None, None), now), Ok(()));
        assert_eq!(check_times(&claims(940.0, None, None), now), Err(TokenError::Expired { at_s: 940 }));
        assert_eq!(check_times(&claims(2000.0, Some(1060.0), Some(1060.0)), now), Ok(()));
        assert_eq!(check_times(&claims(2000.0, Some(1061.0), None), now), Err(TokenError::NotYet));
        assert_eq!(check_times(&claims(2000.0, None, Some(1061.0)), now), Err(TokenError::NotYet));
        assert!(check_times(&claims(f64::NAN, None, None), now).is_err());
    }

    #[test]
    fn the_audience_is_one_that_the_provider_is_configured_for() {
        let claims = claims(1.0, None, None);
        assert_eq!(claims.audience_among(&["b".into()]).as_deref(), Some("b"));
        assert_eq!(claims.audience_among(&["c".into()]), None);
    }

    #[test]
    fn symmetric_signatures_and_none_are_refused_before_any_key_is_fetched() {
        use base64::Engine;
        let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let body = encode(r#"{"iss":"https://i","sub":"s","aud":"a","exp":1}"#);
        for algorithm in ["none", "HS256", "HS512", "nonsense"] {
            let text = format!("{}.{body}.c2ln", encode(&format!(r#"{{"alg":"{algorithm}"}}"#)));
            assert!(matches!(WebToken::parse(&text), Err(TokenError::Invalid(_))), "{algorithm}");
        }
        for text in ["", "a.b", "a.b.c", &format!("{}.{body}", encode(r#"{"alg":"ES256"}"#))] {
            assert!(WebToken::parse(text).is_err(), "{text}");
        }
        let good = format!("{}.{body}.c2ln", encode(r#"{"alg":"ES256"}"#));
        assert_eq!(WebToken::parse(&good).unwrap().issuer, "https://i");
    }
}
