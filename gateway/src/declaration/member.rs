//! One header, query parameter or XML element of an operation.

use super::judge::Listed;
use crate::error::{ErrorCode, S3Error, S3Result};

/// Where a member stands in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A header; its name is in lower case.
    Header,
    /// All headers whose names begin so.
    HeaderPrefix,
    /// A query parameter.
    Query,
    /// An XML element, by its path from the document's root.
    Element,
}

/// What is done with a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Support {
    /// What AWS documents.
    Works,
    /// Some of what AWS documents: which.
    Partly(&'static str),
    /// It is accepted and changes nothing: why that is the truth.
    Moot(&'static str),
    /// It is refused with `NotImplemented`: in which words.
    Missing(&'static str),
}

/// Which values of a member are good, where that can be told without knowing anything else.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values {
    /// The operation decides.
    Any,
    /// Those that AWS lists.
    Listed(Listed),
    /// Those for which this function has no error. It is given the member's name and the value.
    Judged(fn(&str, &str) -> S3Result<()>),
}

/// A member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    /// Where it stands.
    pub place: Place,
    /// Its name.
    pub name: &'static str,
    /// What is done with it.
    pub support: Support,
    /// Its values.
    pub values: Values,
    /// Whether it is Cairn's own, or HTTP's: AWS's model does not define it for the operation.
    pub is_extra: bool,
    /// Whether an element asks for something by being there. Others ask for nothing when they are empty.
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

    /// A header that works. `name` is in lower case.
    pub(crate) const fn header(name: &'static str) -> Self {
        Self::new(Place::Header, name)
    }

    /// Headers that begin so, and work.
    pub(crate) const fn header_prefix(name: &'static str) -> Self {
        Self::new(Place::HeaderPrefix, name)
    }

    /// A query parameter that works.
    pub(crate) const fn query(name: &'static str) -> Self {
        Self::new(Place::Query, name)
    }

    /// An XML element that works, with those in it.
    pub(crate) const fn element(path: &'static str) -> Self {
        Self::new(Place::Element, path)
    }

    /// The same, of which only this works.
    pub(crate) const fn partly(mut self, how: &'static str) -> Self {
        self.support = Support::Partly(how);
        self
    }

    /// The same, which changes nothing for this reason.
    pub(crate) const fn moot(mut self, why: &'static str) -> Self {
        self.support = Support::Moot(why);
        self
    }

    /// The same, which is not built: refused in these words, or in AWS's if there are none.
    pub(crate) const fn missing(mut self, words: &'static str) -> Self {
        self.support = Support::Missing(words);
        self
    }

    /// The same, an element that is not built and asks for something even if it is empty.
    pub(crate) const fn asks_when_empty(mut self, words: &'static str) -> Self {
        self.asks_when_empty = true;
        self.missing(words)
    }

    /// The same, with the values that AWS lists.
    pub(crate) const fn listed(mut self, listed: Listed) -> Self {
        self.values = Values::Listed(listed);
        self
    }

    /// The same, with values that a function judges.
    pub(crate) const fn judged(mut self, judge: fn(&str, &str) -> S3Result<()>) -> Self {
        self.values = Values::Judged(judge);
        self
    }

    /// The same, which AWS's model does not define for the operation.
    pub(crate) const fn extra(mut self) -> Self {
        self.is_extra = true;
        self
    }

    /// Whether this value can be let through to the operation.
    ///
    /// # Errors
    /// `NotImplemented` naming the member, or what AWS answers for a value that is none.
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

    /// `NotImplemented`, naming the member.
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
