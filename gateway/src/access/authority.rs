//! What decisions are made with: callers and buckets, cached or fresh, and the services that nobody gets without a decision.

use std::collections::BTreeSet;
use std::sync::Arc;

use cairn_protocol::env::Env;
use cairn_protocol::metadata::{
    AccessEpoch, AccessKey, AccessKeyRef, FoundRole, Metadata, MetadataError, RoleRef, RootCredentials,
    RootCredentialsRequest,
};

use super::buckets::Buckets;
use super::decision::Evidence;
use super::means::Means;
use crate::caller::Caller;
use crate::config::Config;
use crate::credentials::Keyring;
use crate::data::DataPath;
use crate::identity::KeyHolder;
use crate::repeating::Repeating;

/// The authoriser, and the services behind it, which nobody gets but by authorisation. Clones share it.
#[derive(Clone)]
pub(crate) struct Authority(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    /// The metanode's service.
    metadata: Arc<dyn Metadata>,
    /// The same, which repeats changes until their outcome is known.
    repeating: Arc<dyn Metadata>,
    data: DataPath,
    env: Env,
    keyring: Keyring,
    buckets: Buckets,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

/// How often data of one state of access control is asked for. It fails only if the state changes all the time.
const ATTEMPTS_MAX: u32 = 8;

impl Authority {
    /// An authoriser over these services.
    pub(crate) fn new(
        config: Arc<Config>,
        metadata: Arc<dyn Metadata>,
        data: DataPath,
        keyring: Keyring,
        env: Env,
    ) -> Self {
        let buckets = Buckets::new(metadata.clone(), env.clone());
        let repeating = Arc::new(Repeating::new(metadata.clone(), env.clone()));
        Self(Arc::new(Inner { config, metadata, repeating, data, env, keyring, buckets }))
    }

    /// The root credentials, with which the gateway begins to serve.
    ///
    /// # Errors
    /// The metanode's.
    pub(crate) async fn root_credentials(&self) -> Result<RootCredentials, MetadataError> {
        self.0.metadata.root_credentials(RootCredentialsRequest::default()).await
    }

    /// Who holds an access key, for the APIs of identities, which do their own authorisation.
    ///
    /// # Errors
    /// The metanode's.
    pub(crate) async fn find_access_key(
        &self,
        key: AccessKeyRef,
    ) -> Result<Option<AccessKey>, MetadataError> {
        self.0.metadata.find_access_key(key).await
    }

    /// A role that may be assumed, for the same.
    ///
    /// # Errors
    /// The metanode's.
    pub(crate) async fn find_role(&self, role: RoleRef) -> Result<Option<FoundRole>, MetadataError> {
        self.0.metadata.find_role(role).await
    }

    /// Drops what is remembered of a bucket, because it was changed.
    pub(super) fn forget_bucket(&self, name: &str) {
        self.0.buckets.forget(name);
    }

    /// The metanode's service, for what decisions need, and for those who commit and repeat it themselves.
    pub(super) fn metadata(&self) -> &Arc<dyn Metadata> {
        &self.0.metadata
    }

    /// The services, before they are guarded by what a request may do.
    pub(super) fn means(&self) -> Means {
        Means {
            config: self.0.config.clone(),
            metadata: self.0.repeating.clone(),
            data: self.0.data.clone(),
            env: self.0.env.clone(),
        }
    }

    /// What is needed to decide about these buckets, all of it of one state of access control.
    ///
    /// # Errors
    /// `NoSuchBucket`, `AccessChanged` if the access key does not exist any more, or the metanode's.
    pub(super) async fn evidence(
        &self,
        caller: &Caller,
        buckets: &BTreeSet<String>,
        mut is_fresh: bool,
    ) -> Result<Evidence, MetadataError> {
        for _ in 0..ATTEMPTS_MAX {
            let mut evidence = Evidence { holder: None, buckets: Vec::new(), epoch: None, is_fresh };
            let mut epochs = BTreeSet::new();
            for name in buckets {
                let known = &self.0.buckets;
                let bucket = if is_fresh { known.fresh(name).await? } else { known.get(name).await? };
                epochs.insert(bucket.epoch.0);
                evidence.buckets.push(bucket);
            }
            evidence.holder = self.holder(caller, is_fresh).await?;
            epochs.extend(evidence.holder.iter().filter_map(|holder| holder.epoch()).map(|epoch| epoch.0));
            if epochs.len() <= 1 {
                evidence.epoch = epochs.pop_first().map(AccessEpoch);
                return Ok(evidence);
            }
            is_fresh = true;
        }
        Err(MetadataError::Unavailable { reason: "access control changes all the time".to_owned() })
    }

    /// The holder of a caller's key, as it is known or as it is now.
    async fn holder(&self, caller: &Caller, is_fresh: bool) -> Result<Option<Arc<KeyHolder>>, MetadataError> {
        let (Some(known), Some(key)) = (caller.holder(), caller.key()) else { return Ok(None) };
        if !is_fresh {
            return Ok(Some(known.clone()));
        }
        let now = self.0.keyring.fresh(key).await?;
        // The signature was verified with the secret that the gateway knew.
        match now.filter(|now| now.secret().is(known.secret()) && now.identity() == known.identity()) {
            Some(now) => Ok(Some(now)),
            None => Err(MetadataError::AccessChanged { epoch: AccessEpoch::default() }),
        }
    }
}
