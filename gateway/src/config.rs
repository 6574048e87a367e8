//! How a gateway is configured.

use serde::{Deserialize, Serialize};

use crate::data::DataConfig;
use crate::data::config::DataConfigError;

/// The settings of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The region that clients must sign for. A client with another one is told this one.
    pub region: String,
    /// Domains under which buckets are host names: with `s3.example.com`, `bucket.s3.example.com/key` is
    /// `/bucket/key`. None: path style only.
    pub domains: Vec<String>,
    /// Requests of one client address (a /64 network with IPv6) in flight at once; further ones are told to slow
    /// down. It must be larger where all clients come through one proxy.
    pub requests_per_address_max: usize,
    /// The same, of one access key.
    pub requests_per_key_max: usize,
    /// Whether URLs that are presigned with Signature Version 2 are good. Off by default: their life has no limit.
    pub sigv2: bool,
    /// The data path: its memory.
    pub data: DataConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            domains: Vec::new(),
            requests_per_address_max: 2048,
            requests_per_key_max: 8192,
            sigv2: false,
            data: DataConfig::default(),
        }
    }
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not a region.
    #[error("region {0:?} is none: use lower-case letters, digits and hyphens, such as us-east-1")]
    Region(String),
    /// Not a domain.
    #[error("domain {0:?} is none: use a host name without scheme and port, such as s3.example.com")]
    Domain(String),
    /// The data path's settings are wrong.
    #[error(transparent)]
    Data(#[from] DataConfigError),
}

impl Config {
    /// Checks everything once.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let plain = |text: &str, also: char| {
            !text.is_empty()
                && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == also)
        };
        if !plain(&self.region, '-') {
            return Err(ConfigError::Region(self.region.clone()));
        }
        match self.domains.iter().find(|domain| !plain(domain, '.')) {
            Some(domain) => Err(ConfigError::Domain(domain.clone())),
            None => Ok(self.data.validate()?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_settings_are_named() {
        assert_eq!(Config::default().validate(), Ok(()));
        let region = Config { region: "US East".into(), ..Config::default() };
        assert_eq!(region.validate(), Err(ConfigError::Region("US East".into())));
        let domain = Config { domains: vec!["https://s3.example.com".into()], ..Config::default() };
        assert!(matches!(domain.validate(), Err(ConfigError::Domain(_))));
    }
}
