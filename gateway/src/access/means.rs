//! The services by which operations act.

use std::sync::Arc;

use cairn_protocol::env::Env;
use cairn_protocol::id::MutationId;
use cairn_protocol::metadata::Metadata;

use crate::config::Config;
use crate::data::DataPath;

/// The services by which an operation acts. It gets them as a part of the proof that it may
/// ([`Authorised`](super::Authorised)).
pub(crate) struct Means {
    /// Settings.
    pub(crate) config: Arc<Config>,
    /// The namespace. Changes are repeated until their outcome is known.
    pub(crate) metadata: Arc<dyn Metadata>,
    /// The data path to the datanodes.
    pub(crate) data: DataPath,
    /// Time, randomness and ids.
    pub(crate) env: Env,
}

impl Means {
    /// A new mutation id, for a change that makes no version or part whose id could serve.
    pub(crate) fn mutation(&self) -> Option<MutationId> {
        Some(MutationId(self.env.uuid_v7()))
    }
}
