//! A waiting mutation: the function to run in the transaction, the function that follows the commit, and the caller.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::store::{BoxFuture, Connection, StoreError};

/// A mutation whose caller waits.
pub(super) trait Mutation: Send {
    /// Runs the mutation, keeps its outcome, and returns whether its changes are to be committed.
    fn run<'t>(&'t mut self, transaction: &'t mut Connection) -> BoxFuture<'t, bool>;

    /// Answers the caller after this end of the transaction.
    fn answer(self: Box<Self>, commit: Result<(), StoreError>);

    /// Answers the caller with the mutation's own error, which rolled the transaction back.
    fn answer_own(self: Box<Self>);
}

/// The only implementation: a function, what follows its commit, and a caller that waits.
pub(super) struct Waiting<F, G, T, U, E> {
    mutation: Option<F>,
    /// Turns the outcome into the answer after the commit, even if the caller went away.
    then: G,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<U, E>>,
    /// The caller's span, so that log lines of the mutation have the request's id.
    span: tracing::Span,
}

impl<F, G, T, U, E> Waiting<F, G, T, U, E> {
    /// A mutation that has not run, and the receiver of its answer.
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
            // A panic ends one mutation and not the writer. Its savepoint is rolled back.
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
            // A panic after the commit ends the follow-up of this mutation and not the writer.
            (Ok(()), Some(Ok(outcome))) => std::panic::catch_unwind(AssertUnwindSafe(|| then(outcome)))
                .map_err(|_| StoreError::Panicked.into()),
            // A refusal may depend on changes of another mutation in the transaction, so it counts only if that is
            // committed.
            (Ok(()), Some(Err(error))) => Err(error),
            (Ok(()), None) => Err(StoreError::TransactionLost.into()),
            (Err(error), _) => Err(error.into()),
        });
        // An error means that the caller went away.
        let _ = reply.send(answer);
    }

    fn answer_own(self: Box<Self>) {
        self.answer(Ok(()));
    }
}
