//! One header, query parameter or XML element of an operation.

use super::judge::Listed;
use crate::error::{ErrorCode, S3Error, S3Result};

/// The place of a member in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A header, in lower case.
    Header,
    /// All headers with this prefix.
    HeaderPrefix,
    /// A query parameter.
    Query,
    /// An XML element, by its path from the document's root.
    Element,
}

/// How far a member is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Support {
    /// It has the effect that AWS documents.
    Works,
    /// It has a part of the effect that AWS documents. The text says which.
    Partly(&'static str),
    /// It is accepted and changes nothing. The text says why that is correct.
    Moot(&'static str),
    /// It is refused with `NotImplemented` and this message.
    Missing(&'static str),
}

/// The check of a member's value that needs nothing but the value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values {
    /// None: the operation checks the value.
    Any,
    /// The value must be one that AWS lists.
    Listed(Listed),
    /// This function must not return an error. Its arguments are the member's name and the value.
    Judged(fn(&str, &str) -> S3Result<()>),
}

/// A member of an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    /// Its place in the request.
    pub place: Place,
    /// Its name.
    pub name: &'static str,
    /// How far it is supported.
    pub support: Support,
    /// The check of its value.
    pub values: Values,
    /// Whether it is Cairn's or HTTP's: AWS's model does not define it for the operation.
    pub is_extra: bool,
    /// Whether an empty element has a meaning. Other elements mean nothing when they are empty.
    pub asks_when_empty: bool,
}

impl Member {
    const fn new(place: Place, name: &'static str) -> Self {
        Self {
            place,
            name,
            support: Support::Works,
            values: Values::Any,
            is_extra: false,
            asks_when_empty: false,
        }
    }

    /// A supported header. `name` is in lower case.
    pub(crate) const fn header(name: &'static str) -> Self {
        Self::new(Place::Header, name)
    }

    /// Supported headers with this prefix.
    pub(crate) const fn header_prefix(name: &'static str) -> Self {
        Self::new(Place::HeaderPrefix, name)
    }

    /// A supported query parameter.
    pub(crate) const fn query(name: &'static str) -> Self {
        Self::new(Place::Query, name)
    }

    /// A supported XML element, with the elements in it.
    pub(crate) const fn element(path: &'static str) -> Self {
        Self::new(Place::Element, path)
    }

    /// Makes the member one that is supported in part.
    pub(crate) const fn partly(mut self, how: &'static str) -> Self {
        self.support = Support::Partly(how);
        self
    }

    /// Makes the member one that changes nothing, for this reason.
    pub(crate) const fn moot(mut self, why: &'static str) -> Self {
        self.support = Support::Moot(why);
        self
    }

    /// Makes the member one that is refused, with this message, or with AWS's if it is empty.
    pub(crate) const fn missing(mut self, words: &'static str) -> Self {
        self.support = Support::Missing(words);
        self
    }

    /// Makes the member an element that is refused even if it is empty.
    pub(crate) const fn asks_when_empty(mut self, words: &'static str) -> Self {
        self.asks_when_empty = true;
        self.missing(words)
    }

    /// Adds the values that AWS lists.
    pub(crate) const fn listed(mut self, listed: Listed) -> Self {
        self.values = Values::Listed(listed);
        self
    }

    /// Adds a function that checks the value.
    pub(crate) const fn judged(mut self, judge: fn(&str, &str) -> S3Result<()>) -> Self {
        self.values = Values::Judged(judge);
        self
    }

    /// Marks the member as one that AWS's model does not define for the operation.
    pub(crate) const fn extra(mut self) -> Self {
        self.is_extra = true;
        self
    }

    /// Checks whether the operation may get this value.
    ///
    /// # Errors
    /// `NotImplemented` with the member's name, or the error of AWS for an invalid value.
    pub(crate) fn check(&self, name: &str, value: &str) -> S3Result<()> {
        if let Values::Listed(listed) = &self.values {
            listed.check(self, name, value)?;
        }
        match (self.support, self.values) {
            (Support::Missing(_), _) => Err(self.not_implemented(name)),
            (_, Values::Judged(judge)) => judge(name, value),
            (_, Values::Any | Values::Listed(_)) => Ok(()),
        }
    }

    /// `NotImplemented` with the member's name.
    pub(crate) fn not_implemented(&self, name: &str) -> S3Error {
        let answer = match self.support {
            Support::Missing(words) if !words.is_empty() => S3Error::not_implemented(words),
            Support::Works | Support::Partly(_) | Support::Moot(_) | Support::Missing(_) => {
                match self.place {
                    Place::Header | Place::HeaderPrefix => S3Error::new(ErrorCode::NotImplemented),
                    Place::Query => S3Error::not_implemented(format!(
                        "The query parameter {name:?} implies functionality that is not implemented"
                    )),
                    Place::Element => S3Error::not_implemented(format!(
                        "The element {name:?} implies functionality that is not implemented"
                    )),
                }
            }
        };
        match self.place {
            Place::Header | Place::HeaderPrefix => answer.detail("Header", name),
            Place::Query => answer.detail("Parameter", name),
            Place::Element => answer.detail("Element", name),
        }
    }
}
