//! What was decided for a request. It is decided anew when access control changed since.
//!
//! Each call to the metanode carries the state of access control that was decided with. If the metanode is in another one, it refuses
//! the call with `AccessChanged`. Then the request's permissions are decided again with fresh data, and the call is made again if
//! all of them are still given. So access that was taken away is gone at once, also for a request whose body took an hour.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use cairn_policy::{Context, Policy};
use cairn_protocol::metadata::{LookupObject, MetadataError, ObjectVersion, Tags};
use cairn_protocol::rpc::{with_access_epoch, with_user};

use super::authority::Authority;
use super::bucket::BucketAccess;
use super::context;
use super::decision::{Denied, Evidence};
use super::object::ObjectAccess;
use super::permission::Permission;
use crate::error::{S3Error, S3Result};
use crate::request::Request;

/// What was decided for a request.
pub(super) struct Ticket {
    authority: Authority,
    request: Request,
    /// The condition keys, made when the first decision needs them.
    context: OnceLock<Context>,
    state: Mutex<State>,
    /// What the operation takes for granted of the bucket of its request.
    conditions: Mutex<Vec<Condition>>,
}

/// Something that must hold of a bucket as long as a request lasts.
type Condition = Box<dyn Fn(&BucketAccess) -> bool + Send>;

#[derive(Default)]
struct State {
    /// What was allowed.
    allowed: Vec<Question>,
    /// What it was decided with.
    evidence: Option<Arc<Evidence>>,
}

/// A permission that is asked for.
#[derive(Clone, Debug)]
struct Question {
    permission: Permission,
    /// The tags that the request sets, which conditions may ask for.
    tags: Tags,
    /// The object that it was decided about, if the decision depends on it.
    object: Option<Option<ObjectAccess>>,
}

/// Why there is no permission.
enum Refusal {
    Denied(Denied),
    Failed(MetadataError),
}

impl From<Refusal> for S3Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denied) => denied.into(),
            Refusal::Failed(error) => error.into(),
        }
    }
}

/// How often a call is made again because access control changed meanwhile.
const ATTEMPTS_MAX: u32 = 8;

impl Ticket {
    /// A ticket on which nothing is allowed yet.
    pub(super) fn new(authority: Authority, request: Request) -> Self {
        let (context, state, conditions) = (OnceLock::new(), Mutex::default(), Mutex::default());
        Self { authority, request, context, state, conditions }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is one assignment, so a poisoned lock is safe to use.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn conditions(&self) -> MutexGuard<'_, Vec<Condition>> {
        // The only change adds one.
        self.conditions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for permissions, each of which is given or refused on its own. They are refused on fresh data only.
    ///
    /// # Errors
    /// `NoSuchBucket`, or the metanode's.
    pub(super) async fn ask(
        &self,
        permissions: Vec<Permission>,
        tags: &Tags,
    ) -> Result<Vec<S3Result<()>>, MetadataError> {
        let new = |permission| Question { permission, tags: tags.clone(), object: None };
        let questions: Vec<_> = permissions.into_iter().map(new).collect();
        let mut is_fresh = false;
        loop {
            let before = self.state().allowed.clone();
            let all = before.iter().chain(&questions);
            let evidence = self.authority.evidence(&self.request.caller, &buckets(all), is_fresh).await?;
            let mut allowed = before;
            if self.state().evidence.as_ref().is_some_and(|before| before.epoch != evidence.epoch) {
                allowed = self.again(&evidence, &allowed).await?;
            }
            let mut answers = Vec::with_capacity(questions.len());
            for question in &questions {
                answers.push(self.answer(&evidence, question).await);
            }
            if !evidence.is_fresh && answers.iter().any(Result::is_err) {
                is_fresh = true;
                continue;
            }
            let mut given = Vec::with_capacity(answers.len());
            for answer in answers {
                match answer {
                    Ok(question) => {
                        allowed.push(question);
                        given.push(Ok(()));
                    }
                    Err(Refusal::Failed(error)) => return Err(error),
                    Err(Refusal::Denied(denied)) => given.push(Err(denied.into())),
                }
            }
            *self.state() = State { allowed, evidence: Some(Arc::new(evidence)) };
            return Ok(given);
        }
    }

    /// Checks that the bucket of the request belongs to the account that the client expects, if it says so.
    ///
    /// # Errors
    /// `AccessDenied` if it does not, `NoSuchBucket`, or the metanode's.
    pub(super) async fn check_expected_owner(&self) -> S3Result<()> {
        let permission = Permission::on_target("s3:ListBucket", &self.request);
        if !self.request.headers.contains_key(permission.owner_header) {
            return Ok(());
        }
        let names = permission.bucket().map(str::to_owned).into_iter().collect();
        let mut is_fresh = false;
        loop {
            let evidence = self.authority.evidence(&self.request.caller, &names, is_fresh).await?;
            match self.check_owner(evidence.bucket_of(&permission), &permission) {
                Ok(()) => return Ok(()),
                Err(denied) if evidence.is_fresh => return Err(denied.into()),
                Err(_) => is_fresh = true,
            }
        }
    }

    /// Decides about one question.
    async fn answer(&self, evidence: &Evidence, question: &Question) -> Result<Question, Refusal> {
        let permission = &question.permission;
        let bucket = evidence.bucket_of(permission);
        self.check_owner(bucket, permission).map_err(Refusal::Denied)?;
        let object = if evidence.needs_object(permission) {
            let found = ObjectAccess::find(&**self.authority.metadata(), permission).await;
            Some(found.map_err(Refusal::Failed)?)
        } else {
            None
        };
        let decided = Question { object, ..question.clone() };
        self.decide(evidence, &decided).map_err(Refusal::Denied)?;
        Ok(decided)
    }

    fn decide(&self, evidence: &Evidence, question: &Question) -> Result<(), Denied> {
        let object = question.object.as_ref().and_then(Option::as_ref);
        evidence.decide(&question.permission, object, || self.context(evidence, question, object))
    }

    /// The bucket must belong to the account that the client expects.
    fn check_owner(&self, bucket: Option<&BucketAccess>, permission: &Permission) -> Result<(), Denied> {
        let expected = self.request.headers.get(permission.owner_header);
        let owner = bucket.map(|bucket| bucket.info.owner.id.as_bytes());
        match (expected, owner) {
            (Some(expected), Some(owner)) if expected.as_bytes() != owner => Err(Denied::plainly()),
            _ => Ok(()),
        }
    }

    /// The condition keys: those of the request, and those of the question, if it has any of its own.
    fn context(
        &self,
        evidence: &Evidence,
        question: &Question,
        object: Option<&ObjectAccess>,
    ) -> Cow<'_, Context> {
        let base = self.context.get_or_init(|| context::of(&self.request, &evidence.buckets));
        let owner = evidence.bucket_of(&question.permission).map(|bucket| bucket.info.owner.id.as_str());
        let tags = object.map(|object| &object.tags).filter(|tags| !tags.is_empty());
        context::with(base, &question.permission, owner, &question.tags, tags)
    }

    /// Decides about all of these questions.
    async fn again(
        &self,
        evidence: &Evidence,
        questions: &[Question],
    ) -> Result<Vec<Question>, MetadataError> {
        let mut allowed = Vec::with_capacity(questions.len());
        for question in questions {
            match self.answer(evidence, question).await {
                Ok(question) => allowed.push(question),
                Err(Refusal::Denied(_)) => return Err(changed(evidence)),
                Err(Refusal::Failed(error)) => return Err(error),
            }
        }
        Ok(allowed)
    }

    /// Makes a call in the state of access control that was decided with.
    ///
    /// # Errors
    /// `AccessChanged` if a permission was taken away meanwhile, and those of the call.
    pub(super) async fn call<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, MetadataError>
    where
        F: Future<Output = Result<T, MetadataError>>,
    {
        for _ in 0..ATTEMPTS_MAX {
            let epoch = self.state().evidence.as_ref().and_then(|evidence| evidence.epoch);
            let call = with_user(self.request.caller.user().map(str::to_owned), attempt());
            match with_access_epoch(epoch.map(|epoch| epoch.0), call).await {
                Err(MetadataError::AccessChanged { .. }) => self.decide_again().await?,
                outcome => return outcome,
            }
        }
        Err(MetadataError::Unavailable { reason: "access control changes all the time".to_owned() })
    }

    /// Decides again about everything that was allowed, with fresh data.
    ///
    /// # Errors
    /// `AccessChanged` if a permission was taken away, `BucketChanged` if what the request takes for granted of its bucket does not hold
    /// any more, and the metanode's.
    pub(super) async fn decide_again(&self) -> Result<(), MetadataError> {
        let allowed = self.state().allowed.clone();
        let evidence = self.authority.evidence(&self.request.caller, &buckets(&allowed), true).await?;
        let allowed = self.again(&evidence, &allowed).await?;
        let bucket = self.request.bucket().ok().and_then(|bucket| evidence.bucket(bucket.as_str()));
        if bucket.is_some_and(|bucket| !self.conditions().iter().all(|holds| holds(bucket))) {
            return Err(MetadataError::BucketChanged);
        }
        *self.state() = State { allowed, evidence: Some(Arc::new(evidence)) };
        Ok(())
    }

    /// Checks that what a look-up found is what was decided about. Another object may have come in its place since.
    ///
    /// # Errors
    /// `AccessChanged` if the caller may not have it.
    pub(super) fn check_object(
        &self,
        request: &LookupObject,
        found: &ObjectVersion,
    ) -> Result<(), MetadataError> {
        let mut state = self.state();
        let Some(evidence) = state.evidence.clone() else { return Ok(()) };
        for question in &mut state.allowed {
            let is_meant = question.permission.object() == Some((&request.bucket, &request.key))
                && question.permission.version == request.version;
            if !is_meant || question.object.is_none() {
                continue;
            }
            let now = Some(ObjectAccess::new(found));
            if question.object.as_ref() == Some(&now) {
                continue;
            }
            question.object = Some(now);
            self.decide(&evidence, question).map_err(|_| changed(&evidence))?;
        }
        Ok(())
    }

    /// From now on the request fails if this does not hold any more of its bucket.
    pub(super) fn require(&self, condition: impl Fn(&BucketAccess) -> bool + Send + 'static) {
        self.conditions().push(Box::new(condition));
    }

    /// Drops what is remembered of a bucket, because this request has changed it.
    pub(super) fn forget_bucket(&self, name: &str) {
        self.authority.forget_bucket(name);
    }

    /// Whether what the caller writes counts for a quota of its own.
    pub(super) fn caller_has_quota(&self) -> bool {
        let state = self.state();
        let holder = state.evidence.as_ref().and_then(|evidence| evidence.holder.as_ref());
        holder.is_some_and(|holder| holder.has_quota())
    }

    /// The bucket of this name, as it was decided with.
    pub(super) fn known_bucket(&self, name: &str) -> Option<Arc<BucketAccess>> {
        self.state().evidence.as_ref().and_then(|evidence| evidence.bucket(name).cloned())
    }

    /// Whether the caller could change the policy of the request's bucket if it were this one.
    pub(super) fn keeps_policy(&self, policy: &Policy) -> bool {
        let Some(evidence) = self.state().evidence.clone() else { return false };
        let permission = Permission::on_target("s3:PutBucketPolicy", &self.request);
        let question = Question { permission, tags: Tags::new(), object: None };
        evidence
            .decide_under(Some(policy), &question.permission, || self.context(&evidence, &question, None))
            .is_ok()
    }

    /// Whether the caller has another permission, on what was decided with. It is no basis for doing anything.
    pub(super) fn has(&self, permission: Permission) -> bool {
        let Some(evidence) = self.state().evidence.clone() else { return false };
        let question = Question { permission, tags: Tags::new(), object: None };
        self.decide(&evidence, &question).is_ok()
    }
}

fn changed(evidence: &Evidence) -> MetadataError {
    MetadataError::AccessChanged { epoch: evidence.epoch.unwrap_or_default() }
}

fn buckets<'a>(questions: impl IntoIterator<Item = &'a Question>) -> BTreeSet<String> {
    let names = questions.into_iter().filter_map(|question| question.permission.bucket());
    names.map(str::to_owned).collect()
}
