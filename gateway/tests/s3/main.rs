//! End-to-end tests of the S3 API: a real listener, a real metanode with its database, real datanodes with blocks on disk,
//! and requests signed as clients sign them.

mod support;

mod authentication;
mod bodies;
mod buckets;
mod conditions;
mod copies;
mod declared;
mod deletes;
mod early;
mod keys;
mod listings;
mod lost_answers;
mod multipart;
mod placement;
mod quotas;
mod races;
mod reads;
mod remembered;
mod renames;
mod tags;
mod values;
mod wire;
