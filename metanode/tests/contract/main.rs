//! The contracts of [`Metadata`](cairn_protocol::metadata::Metadata) and [`Iam`](cairn_protocol::iam::Iam). Every test runs on a real database, once in the
//! same process and once over HTTP, and afterwards the tables' invariants must hold.

/// Runs each of these tests in the same process and over HTTP.
macro_rules! contract {
    ($($test:ident),+ $(,)?) => {
        mod in_process {
            $( #[tokio::test] async fn $test() {
                let cluster = $crate::cluster::Cluster::in_process().await;
                super::$test(&cluster).await;
                cluster.verify().await;
            } )+
        }
        mod over_http {
            $( #[tokio::test] async fn $test() {
                let cluster = $crate::cluster::Cluster::over_http().await;
                super::$test(&cluster).await;
                cluster.verify().await;
            } )+
        }
    };
}

mod access;
mod access_keys;
mod buckets;
mod cluster;
mod conditions;
mod faults;
mod iam;
mod listing;
mod locks;
mod model;
mod objects;
mod packs;
mod quotas;
mod races;
mod ranges;
mod reading;
mod renames;
mod repetitions;
mod restart;
mod sweep;
mod uploads;
mod versions;
