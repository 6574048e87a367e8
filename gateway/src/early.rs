//! Answers to requests that take long.
//!
//! AWS says of CopyObject, UploadPartCopy and CompleteMultipartUpload that they may take minutes; it then sends
//! `200 OK` at once and white space while it works, so that neither side gives the connection up, and says in the body
//! how it ended, be it with an error
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/CopyingObjectsMPUapi.html>). SDKs read these bodies for
//! errors, and give up after a minute without a byte.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use cairn_protocol::env::Env;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;

use crate::body::BodyEnd;
use crate::error::{S3Error, S3Result};
use crate::response::{self, Response};
use crate::xml::DECLARATION;

/// Silence after which something is sent: well below the minute after which SDKs give up, and longer than an
/// operation takes that need not read what it copies, so that nearly all get the status that they deserve.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);

/// The operations of which AWS says that their 200 may come before their end.
const OPERATIONS: [&str; 3] = ["CopyObject", "UploadPartCopy", "CompleteMultipartUpload"];

/// What an operation is doing, until its answer.
pub(crate) type Work = BoxFuture<'static, S3Result<Response>>;

/// Whether clients expect that this operation may answer before its end.
pub(crate) fn is_expected_of(operation: &str) -> bool {
    OPERATIONS.contains(&operation)
}

/// Waits for the work's end, but not for long: `None` when it goes on. A client that is still sending its request
/// is not to be answered yet.
pub(crate) async fn wait(env: &Env, work: &mut Work, request_end: &BodyEnd) -> Option<S3Result<Response>> {
    loop {
        tokio::select! {
            biased;
            result = &mut *work => return Some(result),
            () = env.sleep(SILENCE) => {
                if request_end.was_reached() {
                    return None;
                }
            }
        }
    }
}

/// `200 OK` whose body begins now and ends when the work does. `describe` makes the document of an error.
pub(crate) fn answer(
    env: Env,
    work: Work,
    describe: impl FnOnce(&S3Error) -> Bytes + Send + 'static,
) -> Response {
    // The declaration must be the first of a document; behind it white space is allowed (XML 1.0, section 2.8).
    let declaration =
        futures_util::stream::iter([Ok::<_, S3Error>(Bytes::from_static(DECLARATION.as_bytes()))]);
    let rest = futures_util::stream::unfold(Some((work, describe)), move |state| {
        let env = env.clone();
        async move {
            let (mut work, describe) = state?;
            let result = tokio::select! {
                biased;
                result = &mut work => result,
                () = env.sleep(SILENCE) => {
                    return Some((Ok(Bytes::from_static(b" ")), Some((work, describe))));
                }
            };
            Some((end(result, describe).await, None))
        }
    });
    response::xml_body(Body::from_stream(declaration.chain(rest)))
}

/// The document without its declaration.
async fn end(result: S3Result<Response>, describe: impl FnOnce(&S3Error) -> Bytes) -> S3Result<Bytes> {
    let document = match result {
        Ok(response) => response.into_body().collect().await.map_err(S3Error::internal)?.to_bytes(),
        Err(error) => describe(&error),
    };
    let declared = document.starts_with(DECLARATION.as_bytes());
    Ok(if declared { document.slice(DECLARATION.len()..) } else { document })
}

#[cfg(test)]
mod tests {
    use cairn_protocol::env::Timestamp;
    use futures_util::FutureExt;

    use super::*;
    use crate::body::track;
    use crate::error::ErrorCode;

    fn endless() -> Work {
        futures_util::future::pending().boxed()
    }

    #[tokio::test]
    async fn who_is_still_sending_is_not_answered() {
        let (env, clock) = Env::manual(1, Timestamp(0));
        let frames = futures_util::stream::iter([Ok::<_, std::io::Error>("half of it")]);
        let (body, sending) = track(Body::from_stream(frames.chain(futures_util::stream::pending())));
        let mut work = endless();
        let mut waiting = Box::pin(wait(&env, &mut work, &sending));
        for _ in 0..100 {
            assert!(futures_util::poll!(&mut waiting).is_pending());
            clock.advance(SILENCE);
        }
        drop((waiting, body));
        let (_, sent) = track(Body::empty());
        let mut waiting = Box::pin(wait(&env, &mut work, &sent));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        clock.advance(SILENCE);
        assert!(waiting.await.is_none());
    }

    #[tokio::test]
    async fn what_ends_soon_is_answered_as_it_ended() {
        let (env, _) = Env::manual(1, Timestamp(0));
        let (_, sent) = track(Body::empty());
        let mut work: Work = async { Err(S3Error::new(ErrorCode::PreconditionFailed)) }.boxed();
        let result = wait(&env, &mut work, &sent).await.unwrap();
        assert_eq!(result.unwrap_err().code(), ErrorCode::PreconditionFailed);
    }
}
