//! The lifecycle of objects: rules, what is wrong with them, and what is due when. Pure functions: they do no IO and read no clock.
//!
//! | module | what is there |
//! |---|---|
//! | [`rule`] | rules as a bucket has them |
//! | [`filter`] | the versions that a rule is about |
//! | [`check`] | what AWS refuses, in its words |
//! | [`day`] | days as AWS counts them: from midnight to midnight, UTC |
//! | [`plan`] | what the rules want of a version or an upload, each with its time |
//! | [`decide`](mod@decide) | which of several actions is done when they conflict |
//!
//! Sources: Amazon S3 User Guide, "Lifecycle configuration elements", "Examples of S3 Lifecycle configurations" and "Conflicting
//! lifecycle policies"; API reference, PutBucketLifecycleConfiguration.
//!
//! Architecture invariant: what is not certain is not done. A version whose facts do not fit a rule is left alone.

pub mod check;
pub mod day;
pub mod decide;
pub mod filter;
pub mod plan;
pub mod rule;

pub use check::{InvalidRules, check};
pub use day::Day;
pub use decide::decide;
pub use filter::Filter;
pub use plan::{Action, Planned, Subject, plan};
pub use rule::{Expiration, NoncurrentExpiration, NoncurrentTransition, Rule, Transition, When};
