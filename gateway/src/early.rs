//! Early responses to requests that take long.
//!
//! AWS documents that CopyObject, UploadPartCopy and CompleteMultipartUpload may take minutes. It then sends `200 OK`
//! and white space while it works, so that neither side closes the connection. The body contains the result, which may
//! be an error
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/CopyingObjectsMPUapi.html>). SDKs read these bodies for
//! errors, and time out after a minute without a byte.

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

/// The pause after which the early response begins. It is well below the minute after which SDKs time out, and longer
/// than an operation takes that need not read the bytes it copies. So nearly all requests get their real status.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);

/// The operations whose 200 may come before they end, according to AWS.
const OPERATIONS: [&str; 3] = ["CopyObject", "UploadPartCopy", "CompleteMultipartUpload"];

/// The operation in progress. It yields the response.
pub(crate) type Work = BoxFuture<'static, S3Result<Response>>;

/// Whether clients expect that this operation may answer before it ends.
pub(crate) fn is_expected_of(operation: &str) -> bool {
    OPERATIONS.contains(&operation)
}

/// Waits for the operation for a limited time. Returns `None` if it continues. While the client still sends its
/// request, no response may begin.
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

/// A `200 OK` whose body begins now and ends with the operation. `describe` makes the document of an error.
pub(crate) fn answer(
    env: Env,
    work: Work,
    describe: impl FnOnce(&S3Error) -> Bytes + Send + 'static,
) -> Response {
    // The XML declaration must come first; white space may follow it (XML 1.0, section 2.8).
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

/// The document without its XML declaration.
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
    async fn no_response_begins_while_the_client_still_sends() {
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
    async fn an_operation_that_ends_soon_gets_its_own_status() {
        let (env, _) = Env::manual(1, Timestamp(0));
        let (_, sent) = track(Body::empty());
        let mut work: Work = async { Err(S3Error::new(ErrorCode::PreconditionFailed)) }.boxed();
        let result = wait(&env, &mut work, &sent).await.unwrap();
        assert_eq!(result.unwrap_err().code(), ErrorCode::PreconditionFailed);
    }
}
