//! The proof that a request was authorised.

use std::ops::Deref;
use std::sync::Arc;

use cairn_policy::Policy;
use cairn_protocol::metadata::{Account, BucketRef, Metadata, Tags};

use super::authority::Authority;
use super::bucket::BucketAccess;
use super::guarded::Guarded;
use super::means::Means;
use super::permission::{Permission, Permissions};
use super::ticket::Ticket;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::request::Request;

/// The proof that a request was authorised, with the means of acting. There is no other way to either.
pub(crate) struct Authorised {
    means: Means,
    ticket: Arc<Ticket>,
    request: Request,
}

impl Deref for Authorised {
    type Target = Means;

    fn deref(&self) -> &Means {
        &self.means
    }
}

impl Authorised {
    /// Checks that the caller has further permissions, for a request that sets these tags.
    ///
    /// # Errors
    /// `AccessDenied` for the first permission that the caller lacks, or the metanode's errors.
    pub(crate) async fn also(&self, needed: Permissions, tags: &Tags) -> S3Result<()> {
        self.ticket.ask(needed.into_vec(), tags).await?.into_iter().collect()
    }

    /// The bucket of the request, with what decides about access to it now, for operations that may refuse a document because of
    /// it. From now on the request fails, and can be tried again, if that changes before it is done.
    ///
    /// # Errors
    /// `AccessDenied` if the permissions were taken away meanwhile, or the metanode's; `InternalError` for a request without a bucket.
    pub(crate) async fn bucket(&self) -> S3Result<Arc<BucketAccess>> {
        self.ticket.decide_again().await?;
        self.relied_on(BucketAccess::is_still)
    }

    /// The bucket of the request, as it was decided with. From now on the request fails, and can be tried again, if what decides who owns
    /// new objects changes before it is done.
    ///
    /// # Errors
    /// `InternalError` for a request without a bucket.
    pub(crate) fn bucket_of_owner(&self) -> S3Result<Arc<BucketAccess>> {
        self.relied_on(BucketAccess::decides_owner_like)
    }

    /// The bucket of the request, as it was decided with. From now on the request fails if the bucket is not `like` it any more.
    fn relied_on(&self, like: fn(&BucketAccess, &BucketAccess) -> bool) -> S3Result<Arc<BucketAccess>> {
        let bucket = self.known()?;
        let before = bucket.clone();
        self.ticket.require(move |now| like(now, &before));
        Ok(bucket)
    }

    /// Checks the bucket of the request, without a call if it is well: as the gateway remembers it, and as it is now before it refuses.
    /// From now on the request fails, and can be tried again, if the check fails before the request is done.
    ///
    /// # Errors
    /// Those of `check`, the metanode's, and `InternalError` for a request without a bucket.
    pub(crate) async fn check_bucket(
        &self,
        check: impl Fn(&BucketAccess) -> S3Result<()> + Send + 'static,
    ) -> S3Result<()> {
        if check(&*self.known()?).is_err() {
            self.ticket.decide_again().await?;
            check(&*self.known()?)?;
        }
        self.ticket.require(move |now| check(now).is_ok());
        Ok(())
    }

    /// Whether what the request writes may count for a quota. It can be late after a quota was set, which the metanode's check is not.
    pub(crate) fn has_quota(&self) -> bool {
        self.ticket.caller_has_quota() || self.known_bucket().is_none_or(|bucket| bucket.has_quota)
    }

    /// The bucket of the request, with what decides about access to it, as it is now: for answers that show it.
    ///
    /// # Errors
    /// `NoSuchBucket`, or the metanode's.
    pub(crate) async fn current_bucket(&self) -> S3Result<BucketAccess> {
        let bucket = BucketRef { bucket: self.request.bucket()?.to_string() };
        Ok(BucketAccess::new(self.metadata.get_bucket_configurations(bucket).await?))
    }

    /// The bucket of the request as the gateway remembers it, for headers that depend on its configuration.
    pub(crate) fn known_bucket(&self) -> Option<Arc<BucketAccess>> {
        self.request.bucket().ok().and_then(|bucket| self.ticket.known_bucket(bucket.as_str()))
    }

    /// The account that owns the bucket of the request.
    ///
    /// # Errors
    /// `InternalError` for a request without a bucket.
    pub(crate) fn bucket_owner(&self) -> S3Result<Account> {
        Ok(self.known()?.info.owner.clone())
    }

    fn known(&self) -> S3Result<Arc<BucketAccess>> {
        let bucket = self.ticket.known_bucket(self.request.bucket()?.as_str());
        bucket.ok_or_else(|| S3Error::internal("a bucket was not looked at before it is used"))
    }

    /// Whether the objects of the request's bucket belong to whoever wrote them.
    pub(crate) fn has_object_owners(&self) -> bool {
        self.known_bucket().is_some_and(|bucket| bucket.has_acls())
    }

    /// Whether the caller could still change the policy of the bucket if it were this one.
    pub(crate) fn keeps_policy(&self, policy: &Policy) -> bool {
        self.ticket.keeps_policy(policy)
    }

    /// The error for an object that does not exist: who may not list the bucket does not learn that (S3 API Reference, "GetObject",
    /// "Permissions").
    pub(crate) fn missing(&self, bucket: &str, error: S3Error) -> S3Error {
        let is_missing = matches!(error.code(), ErrorCode::NoSuchKey);
        if is_missing && !self.ticket.has(Permission::on_bucket("s3:ListBucket", bucket)) {
            return S3Error::new(ErrorCode::AccessDenied);
        }
        error
    }
}

/// A request whose permissions depend on its body, so that they are not checked yet. It has no means of acting.
pub(crate) struct Pending {
    authority: Authority,
    ticket: Arc<Ticket>,
    request: Request,
}

impl Pending {
    /// The request, on which nothing is decided yet.
    pub(crate) fn new(authority: &Authority, request: &Request) -> Self {
        let ticket = Arc::new(Ticket::new(authority.clone(), request.clone()));
        Self { authority: authority.clone(), ticket, request: request.clone() }
    }

    /// The same for another head, in which what the document says stands as headers, so that conditions can ask for it.
    #[must_use]
    pub(crate) fn about(self, request: &Request) -> Self {
        Self::new(&self.authority, request)
    }

    /// Checks that the bucket belongs to the account that the client expects, if it says so.
    ///
    /// # Errors
    /// `AccessDenied` if it does not, `NoSuchBucket`, or the metanode's errors.
    pub(crate) async fn check_expected_owner(&self) -> S3Result<()> {
        self.ticket.check_expected_owner().await
    }

    /// Checks that the caller has all these permissions, for a request that sets these tags.
    ///
    /// # Errors
    /// `AccessDenied` for the first permission that the caller lacks, `NoSuchBucket`, or the metanode's errors.
    pub(crate) async fn with(self, needed: Permissions, tags: &Tags) -> S3Result<Authorised> {
        self.ticket.ask(needed.into_vec(), tags).await?.into_iter().collect::<S3Result<()>>()?;
        Ok(self.authorised())
    }

    /// Checks each of these permissions. The means are there if one of them is given at least, for what is given alone.
    ///
    /// # Errors
    /// `NoSuchBucket`, or the metanode's errors.
    pub(crate) async fn each(
        self,
        permissions: Vec<Permission>,
    ) -> S3Result<(Option<Authorised>, Vec<S3Result<()>>)> {
        let answers = self.ticket.ask(permissions, &Tags::new()).await?;
        let authorised = answers.iter().any(Result::is_ok).then(|| self.authorised());
        Ok((authorised, answers))
    }

    fn authorised(self) -> Authorised {
        let Self { authority, ticket, request } = self;
        let guard = |inner: Arc<dyn Metadata>| Arc::new(Guarded::new(inner, ticket.clone()));
        let Means { config, metadata, data, env } = authority.means();
        // The data path repeats commits itself.
        let data = data.committing_through(guard(authority.metadata().clone()));
        let means = Means { config, metadata: guard(metadata), data, env };
        Authorised { means, ticket, request }
    }
}
