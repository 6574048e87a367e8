//! The configuration of a gateway.

use serde::{Deserialize, Serialize};

use crate::data::DataConfig;
use crate::data::config::DataConfigError;

/// The settings of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The region for which clients must sign. A client that signs for another region gets an error with this one.
    pub region: String,
    /// Domains under which host names contain the bucket: with `s3.example.com`, `bucket.s3.example.com/key` means
    /// `/bucket/key`. Without a domain only path style works.
    pub domains: Vec<String>,
    /// Upper limit of requests in flight from one address (one /64 network with IPv6). Further requests get 503
    /// `SlowDown`. Set it higher if all clients connect through one proxy.
    pub requests_per_address_max: usize,
    /// Upper limit of requests in flight with one access key.
    pub requests_per_key_max: usize,
    /// Whether URLs that are presigned with Signature Version 2 are accepted. Off by default: their validity has no
    /// upper limit.
    pub sigv2: bool,
    /// Memory limits and time-outs of the data path.
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

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The text is not a valid region.
    #[error("region {0:?} is none: use lower-case letters, digits and hyphens, such as us-east-1")]
    Region(String),
    /// The text is not a valid domain.
    #[error("domain {0:?} is none: use a host name without scheme and port, such as s3.example.com")]
    Domain(String),
    /// The settings of the data path are invalid.
    #[error(transparent)]
    Data(#[from] DataConfigError),
}

impl Config {
    /// Checks all settings.
    ///
    /// # Errors
    /// The first setting that is invalid.
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
