//! A mutation that waits: what it does in the transaction, what follows the commit, and whom it answers.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::store::{BoxFuture, Connection, StoreError};

/// A mutation whose caller waits.
pub(super) trait Mutation: Send {
    /// Runs it, keeps its outcome, and says whether its changes are to be kept.
    fn run<'t>(&'t mut self, transaction: &'t mut Connection) -> BoxFuture<'t, bool>;

    /// Answers the caller, after the transaction ended so.
    fn answer(self: Box<Self>, commit: Result<(), StoreError>);

    /// Answers the caller with the mutation's own error, which made the transaction fail.
    fn answer_own(self: Box<Self>);
}

/// The one kind of mutation that there is: a function, what follows its commit, and a caller that waits for the answer.
pub(super) struct Waiting<F, G, T, U, E> {
    mutation: Option<F>,
    /// Turns the outcome into the answer when it is committed, whether the caller still waits or not.
    then: G,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<U, E>>,
    /// The caller's span, so that what is logged here carries its request's id.
    span: tracing::Span,
}

impl<F, G, T, U, E> Waiting<F, G, T, U, E> {
    /// A mutation that has not run, and where its answer will come.
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
            // A panic ends one mutation and not the writer: its savepoint is rolled back.
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
            // A panic after the commit ends what follows this mutation, and not the writer.
            (Ok(()), Some(Ok(outcome))) => std::panic::catch_unwind(AssertUnwindSafe(|| then(outcome)))
                .map_err(|_| StoreError::Panicked.into()),
            // A refusal may rest on what a neighbour changed, so it too stands and falls with the commit.
            (Ok(()), Some(Err(error))) => Err(error),
            (Ok(()), None) => Err(StoreError::TransactionLost.into()),
            (Err(error), _) => Err(error.into()),
        });
        // A caller that went away does not want the answer.
        let _ = reply.send(answer);
    }

    fn answer_own(self: Box<Self>) {
        self.answer(Ok(()));
    }
}
