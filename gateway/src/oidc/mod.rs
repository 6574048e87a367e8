//! Web identity tokens: JSON Web Tokens that a configured provider of OpenID Connect has signed.
//!
//! Sources: OpenID Connect Core 1.0, section 3.1.3.7 ("ID Token Validation"); OpenID Connect Discovery 1.0, section 4; RFC 7517,
//! RFC 7519, RFC 8725.
//!
//! | module | what is there |
//! |---|---|
//! | `token` | what a token says, and whether its signature, its times and its audience are right |
//! | `verifiers` | signatures, by ring |
//! | `provider` | a provider |
//! | `keys` | the keys of providers, fetched and cached |
//! | `fetch` | the documents of a provider, over HTTPS |
//! | `trust` | the certificates of providers |

mod fetch;
mod keys;
mod provider;
#[cfg(test)]
mod tests;
mod token;
mod trust;
mod verifiers;

pub(crate) use keys::ProviderKeys;
pub(crate) use provider::Provider;
pub(crate) use token::{Claims, TokenError, WebToken};
