//! Whether a caller may do what a request asks for, and the means of doing it.
//!
//! | module | what is there |
//! |---|---|
//! | [`permission`] | what an operation needs: actions on resources |
//! | [`documents`] | the configurations of a bucket that decide about access, as they are stored |
//! | [`bucket`] | a bucket as decisions see it: owner, policy, ACL, ownership, blocks of public access |
//! | [`buckets`] | the cache of buckets |
//! | [`object`] | an object as decisions see it: owner, ACL, tags |
//! | [`context`] | the condition keys of a request |
//! | [`decision`] | one decision, from a caller, a permission, and the bucket and object that it is about |
//! | [`means`] | the services by which operations act |
//! | [`authority`] | what decisions are made with, cached or fresh |
//! | [`ticket`] | what was decided for a request; it is decided anew when access control changed |
//! | [`guarded`] | the metanode's service, each call of which carries the state of access control that was decided with |
//! | [`authorised`] | the authoriser, and the proof that a request was authorised, which holds the means |
//!
//! Architecture invariants: an operation acts only through an [`Authorised`], and only this module makes one, after a decision. So a
//! handler that skips the check does not compile. A request is refused only on what the metanode says now, and what it does is done
//! only if the metanode still is in the state of access control that it was allowed in.

mod authorised;
mod authority;
pub(crate) mod bucket;
mod buckets;
mod context;
mod decision;
pub(crate) mod documents;
mod guarded;
mod means;
mod object;
mod permission;
mod ticket;

pub(crate) use authorised::{Authorised, Pending};
pub(crate) use authority::Authority;
pub(crate) use bucket::BucketAccess;
pub(crate) use context::LOCATION_CONSTRAINT;
pub(crate) use permission::{Permission, Permissions};
