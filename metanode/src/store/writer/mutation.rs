//! A waiting mutation: what it does in the transaction, what follows the commit, and who receives the reply.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::store::{BoxFuture, Connection, StoreError};

/// A mutation whose caller waits.
pub(super) trait Mutation: Send {
    /// Runs the mutation, stores its outcome, and returns whether its changes are to be kept.
    fn run<'t>(&'t mut self, transaction: &'t mut Connection) -> BoxFuture<'t, bool>;

    /// Replies to the caller once the outcome of the transaction is known.
    fn answer(self: Box<Self>, commit: Result<(), StoreError>);

    /// Replies to the caller with the mutation's own error, which rolled back the transaction.
    fn answer_own(self: Box<Self>);
}

/// The only implementation of [`Mutation`]: a function, what follows its commit, and a caller that waits for the reply.
pub(super) struct Waiting<F, G, T, U, E> {
    mutation: Option<F>,
    /// Turns the committed outcome into the reply. It runs even if the caller is gone.
    then: G,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<U, E>>,
    /// The caller's span, so that log lines of the mutation carry the id of its request.
    span: tracing::Span,
}

impl<F, G, T, U, E> Waiting<F, G, T, U, E> {
    /// A mutation that has not run, and the receiver of its reply.
    pub(super) fn new(mutation: F, then: G) -> (Self, oneshot::Receiver<Result<U, E>>) {
        let (reply, answer) = oneshot::channel();
        let span = tracing::Span::current();
        (Self { mutation: Some(mutation), then, outcome: None, reply, span }, answer)
    }
}

impl<T, U, E, F, G> Mutation for Waiting<F, G, T, U, E>
where
    F: for<'t> FnOnce(&'t mut Connection) -> BoxFuture<'t, Result<T, E>> + Send,
    G: FnOnce(T) -> U + Send,
    T: Send,
    U: Send,
    E: From<StoreError> + Send,
{
    fn run<'t>(&'t mut self, transaction: &'t mut Connection) -> BoxFuture<'t, bool> {
        let span = self.span.clone();
        async move {
            let Some(mutation) = self.mutation.take() else { return false };
            // A panic fails this mutation and not the writer: its savepoint is rolled back.
            let run = AssertUnwindSafe(async move { mutation(transaction).await }).catch_unwind();
            let outcome = run.await.unwrap_or_else(|_| Err(StoreError::Panicked.into()));
            let keep = outcome.is_ok();
            self.outcome = Some(outcome);
            keep
        }
        .instrument(span)
        .boxed()
    }

    fn answer(self: Box<Self>, commit: Result<(), StoreError>) {
        let Self { then, outcome, reply, span, .. } = *self;
        let answer = span.in_scope(|| match (commit, outcome) {
            // A panic in `then` fails this call and not the writer.
            (Ok(()), Some(Ok(outcome))) => std::panic::catch_unwind(AssertUnwindSafe(|| then(outcome)))
                .map_err(|_| StoreError::Panicked.into()),
            // The error may depend on what an earlier mutation of this transaction changed, so it too is valid only
            // with the commit.
            (Ok(()), Some(Err(error))) => Err(error),
            (Ok(()), None) => Err(StoreError::TransactionLost.into()),
            (Err(error), _) => Err(error.into()),
        });
        // The caller may be gone; then the reply is dropped.
        let _ = reply.send(answer);
    }

    fn answer_own(self: Box<Self>) {
        self.answer(Ok(()));
    }
}
