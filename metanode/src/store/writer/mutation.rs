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

/// The one kind of mutation that there is: a function, and who waits for what it answers.
pub(super) struct Waiting<F, T, E> {
    mutation: Option<F>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
    /// The caller's span, so that what is logged here carries its request's id.
    span: tracing::Span,
}

impl<F, T, E> Waiting<F, T, E> {
    /// A mutation that has not run, and where its answer will come.
    pub(super) fn new(mutation: F) -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (reply, answer) = oneshot::channel();
        let span = tracing::Span::current();
        (Self { mutation: Some(mutation), outcome: None, reply, span }, answer)
    }
}

impl<T, E, F> Mutation for Waiting<F, T, E>
where
    F: for<'t> FnOnce(&'t mut Connection) -> BoxFuture<'t, Result<T, E>> + Send,
    T: Send,
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
        let answer = match (commit, self.outcome) {
            // A refusal may rest on what a neighbour changed, so it too stands and falls with the commit.
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(StoreError::TransactionLost.into()),
            (Err(error), _) => self.span.in_scope(|| Err(error.into())),
        };
        // A caller that went away does not want the answer.
        let _ = self.reply.send(answer);
    }

    fn answer_own(self: Box<Self>) {
        self.answer(Ok(()));
    }
}
