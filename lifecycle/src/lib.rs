//! The lifecycle of objects: rules, what is wrong with them, and what is due when. Pure functions: they do no IO and read no clock.
//!
//! | module | what is there |
//! |---|---|
//! | [`rule`] | rules as a bucket has them |
//! | [`filter`] | the versions that a rule is about |
//! | [`check`] | what AWS refuses, in its words |
//! | [`day`] | days as AWS counts them: from midnight to midnight, UTC |
//! | [`class`] | which storage classes an object can get |
//! | [`plan`] | what the rules want of a version or an upload, each with its time |
//! | `decide` | which of several actions is done when they conflict |
//!
//! Sources: Amazon S3 User Guide, "Lifecycle configuration elements", "Examples of S3 Lifecycle configurations" and "Conflicting
//! lifecycle policies"; API reference, PutBucketLifecycleConfiguration.
//!
//! Architecture invariant: what is not certain is not done. A version whose facts do not fit a rule is left alone.

pub mod check;
pub mod class;
pub mod day;
mod decide;
pub mod filter;
pub mod plan;
pub mod rule;

pub use check::{InvalidRules, check};
pub use day::Day;
pub use filter::Filter;
pub use plan::{Action, Plan, Planned, Subject, plan};
pub use rule::{
    Expiration, FilterForm, MinimumSize, NoncurrentExpiration, NoncurrentTransition, Rule, RuleSet,
    Transition, When,
};
