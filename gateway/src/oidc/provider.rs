//! A provider.

/// A provider whose keys are needed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Provider {
    /// Its URL.
    pub(crate) url: String,
    /// SHA-1 of authorities that may have signed its certificate, in hexadecimal digits.
    pub(crate) thumbprints: Vec<String>,
}
