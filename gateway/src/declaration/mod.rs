//! Declarations: the members of each operation in AWS's model, and how far Cairn supports them. They stand beside the
//! operations.
//!
//! A [`Declaration`] names the operation's method, resource and selectors, and its [`Member`]s: headers, query
//! parameters and XML elements as AWS's service model has them. The route table, the admission of requests, the
//! check of documents and `docs/s3.md` are all made from it, so that they cannot drift apart.
//!
//! | module | what is there |
//! |---|---|
//! | [`member`] | one header, parameter or element, and how far it is supported |
//! | [`groups`] | members that several operations share |
//! | [`grants`] | the headers that grant permissions |
//! | [`judge`] | values that AWS lists: done, not built, or none of them |
//! | [`document`] | the XML of a request, checked against the declared elements |
//!
//! [`crate::admission`] applies it to requests; [`crate::operations_table`] shows it as JSON and as `docs/s3.md`.
//!
//! # The rules
//!
//! 1. A member that AWS's model defines for the operation is parsed, or refused with `501 NotImplemented`.
//! 2. A header that the model does not define for the operation is ignored, as AWS does. It is removed from the request
//!    before the operation runs, so no operation can read a header that it does not declare.
//! 3. Some undeclared headers are refused, because a client that sends them wants a different write from the one that
//!    would happen: [`crate::admission`] lists them with the reasons.
//! 4. A query parameter that is not declared is ignored on a read, and refused on a write: a subresource that we do
//!    not know must never turn `PUT /bucket/key?subresource` into a plain PutObject. This includes parameters
//!    that have a value, because a subresource can have one (`?uploadId=…`, `?analytics&id=…`). What clients send
//!    with writes besides is the signature, and parameters that begin with `x-`, such as the SDKs' `x-id`: AWS
//!    promises to ignore those (S3 User Guide, "Amazon S3 server access log format", "Custom access log
//!    information"), so none of them can become a subresource.

pub(crate) mod document;
pub(crate) mod grants;
pub(crate) mod groups;
pub(crate) mod judge;
pub(crate) mod member;

use http::Method;

pub(crate) use member::{Member, Place, Support, Values};

/// The kind of resource of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// All buckets.
    Service,
    /// A bucket.
    Bucket,
    /// An object.
    Object,
    /// An account: what S3 Control configures for it.
    Account,
}

impl Resource {
    /// The name in `<ResourceType>`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Service => "SERVICE",
            Self::Bucket => "BUCKET",
            Self::Object => "OBJECT",
            Self::Account => "ACCOUNT",
        }
    }
}

/// The methods of S3's operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// `PUT`.
    Put,
    /// `POST`.
    Post,
    /// `DELETE`.
    Delete,
}

impl Verb {
    /// The method of the `http` crate.
    pub(crate) const fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Head => Method::HEAD,
            Self::Put => Method::PUT,
            Self::Post => Method::POST,
            Self::Delete => Method::DELETE,
        }
    }
}

/// What distinguishes operations with the same method and resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// A subresource: a query parameter that selects another operation.
    Query(&'static str),
    /// A query parameter that selects another operation if it has this value.
    QueryIs(&'static str, &'static str),
    /// A query parameter that selects an operation only together with a subresource.
    With(&'static str),
    /// A header that selects another operation.
    Header(&'static str),
}

/// The body of an operation's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// No body.
    Nothing,
    /// The data of an object.
    Data,
    /// An XML document with this root.
    Document(&'static str),
}

/// The declaration of an operation of S3.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Declaration {
    /// Its name in AWS's service model.
    pub name: &'static str,
    /// Its method.
    pub method: Verb,
    /// The kind of its resource.
    pub resource: Resource,
    /// The selectors that a request for it must have.
    pub when: &'static [When],
    /// The body of its requests.
    pub body: Body,
    /// Its members, in groups. If two have the same name, the first one counts.
    pub members: &'static [&'static [Member]],
    /// A remark for readers of `docs/s3.md`.
    pub note: &'static str,
}

impl Declaration {
    /// An operation without selectors, body and members.
    pub(crate) const fn new(name: &'static str, method: Verb, resource: Resource) -> Self {
        Self { name, method, resource, when: &[], body: Body::Nothing, members: &[], note: "" }
    }

    /// Whether it is a read.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self.method, Verb::Get | Verb::Head)
    }

    /// Its members, with those of every request that has a body.
    pub(crate) fn all_members(&self) -> impl Iterator<Item = &'static Member> {
        let of_body = match self.body {
            Body::Nothing => &[],
            Body::Data | Body::Document(_) => groups::INTEGRITY,
        };
        self.members.iter().copied().chain([of_body]).flatten()
    }

    /// The member for this header. Names are in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&'static Member> {
        self.all_members().find(|member| match member.place {
            Place::Header => member.name == name,
            Place::HeaderPrefix => name.starts_with(member.name),
            Place::Query | Place::Element => false,
        })
    }

    /// The member for this query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&'static Member> {
        self.all_members().find(|member| member.place == Place::Query && member.name == name)
    }

    /// Whether this query parameter is one of its selectors.
    pub(crate) fn is_selected_by(&self, parameter: &str) -> bool {
        self.when.iter().any(|when| match when {
            When::Query(name) | When::QueryIs(name, _) | When::With(name) => *name == parameter,
            When::Header(_) => false,
        })
    }

    /// Whether this query parameter selects the operation by itself, so that it means this operation in every request.
    pub(crate) fn has_subresource(&self, parameter: &str) -> bool {
        self.when.iter().any(|when| match when {
            When::Query(name) | When::QueryIs(name, _) => *name == parameter,
            When::With(_) | When::Header(_) => false,
        })
    }
}
