//! AWS's policy language, and the decision whether a request is allowed: pure functions from policies and a request to a
//! [`Decision`] with its reason. They do no IO and read no clock.
//!
//! | module | what is there |
//! |---|---|
//! | [`acl`] | access control lists: canned ones, grants, and the actions that they allow |
//! | [`document`] | policies: parsing them, and what is wrong with one, in words |
//! | [`action`] | S3's actions, and whether each applies to buckets or to objects |
//! | [`principal`] | who sends a request, and how policies name principals |
//! | [`pattern`] | wildcards and policy variables |
//! | [`condition`] | condition operators |
//! | [`context`] | the condition keys of a request |
//! | [`statement`] | whether a statement applies to a request |
//! | [`decision`] | what identity, session and bucket policies, ACLs and public access blocks decide together |
//! | [`public`] | whether a bucket policy is public |
//!
//! Sources: IAM User Guide, "IAM JSON policy elements reference" and "Policy evaluation logic"; S3 User Guide, "Policies and
//! permissions in Amazon S3" and "Blocking public access to your Amazon S3 storage".
//!
//! Architecture invariants: an explicit deny wins over everything; what is unknown (a variable without a value, a key whose
//! value cannot be compared) never makes a statement allow.

pub mod acl;
pub mod action;
pub mod condition;
pub mod context;
pub mod decision;
pub mod document;
pub mod pattern;
pub mod principal;
pub mod public;
pub mod statement;

pub use context::Context;
pub use decision::{Decision, Policies, Reason, Request, decide};
pub use document::{Kind, Policy, PolicyError};
pub use principal::Principal;
