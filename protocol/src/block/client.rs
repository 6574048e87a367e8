//! The block service of a datanode over HTTP, as its callers use it.

use std::time::Duration;

use async_trait::async_trait;
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, RANGE};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt};
use reqwest::{Method, RequestBuilder, Response};

use super::{
    BLOCK_LENGTH_MAX, BlockError, BlockInfo, BlockRead, BlockService, BlockStream, DeleteBlock, GetBlock,
    HeadBlock, PutBlock, PutBlockReply, cut_out, header,
};
use crate::checksum::{ChunkTable, chunk_count};
use crate::id::BlockId;
use crate::rpc::{
    ClientError, REQUEST_ID_HEADER, client_builder, current_request_id, decode_error, describe,
};
use crate::tls::Identity;

/// How long a datanode may send nothing in the middle of an answer. If a disk takes longer for the next chunk, the caller
/// reads another replica.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// How long storing one block may take in total: a block of the largest size over a slow link (100 Mbit/s), with its fsync.
pub(super) const PUT_TIMEOUT: Duration = Duration::from_secs(60);

/// A datanode over HTTP.
#[derive(Clone, Debug)]
pub struct HttpBlockClient {
    http: reqwest::Client,
    base: String,
}

impl HttpBlockClient {
    /// An HTTP client that [`HttpBlockClient`]s share, and with it their connections. It presents this identity to datanodes
    /// whose address is `https://…`.
    ///
    /// # Errors
    /// When no HTTP client can be made on this machine.
    pub fn pool(identity: &Identity) -> Result<reqwest::Client, ClientError> {
        Ok(client_builder(identity)?.build()?)
    }

    /// The datanode at the base URL `address`.
    pub fn new(pool: reqwest::Client, address: &str) -> Self {
        Self { http: pool, base: address.trim_end_matches('/').to_owned() }
    }

    /// A request to read a block or a range of it.
    fn reading(&self, request: &GetBlock) -> Result<RequestBuilder, BlockError> {
        let call = self.request(Method::GET, request.block, &request.token);
        let Some((start, end)) = request.range else { return Ok(call) };
        let last = end.checked_sub(1).filter(|last| start <= *last);
        let last = last.ok_or_else(|| BlockError::Malformed { reason: "an empty range".to_owned() })?;
        Ok(call.header(RANGE, format!("bytes={start}-{last}")))
    }

    fn request(&self, method: Method, block: BlockId, token: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}/v1/blocks/{block}", self.base))
            .header(AUTHORIZATION, format!("Bearer {token}"));
        match current_request_id() {
            Some(id) => request.header(REQUEST_ID_HEADER, id),
            None => request,
        }
    }
}

#[async_trait]
impl BlockService for HttpBlockClient {
    async fn put(&self, request: PutBlock, data: BlockStream) -> Result<PutBlockReply, BlockError> {
        let pipeline = serde_json::to_string(&request.pipeline).map_err(|_| BlockError::Internal)?;
        let answer = self
            .request(Method::PUT, request.block, &request.token)
            .timeout(PUT_TIMEOUT)
            .header(CONTENT_LENGTH, request.length)
            .header(header::CRC32C, format!("{:08x}", request.crc32c))
            .header(header::PIPELINE, pipeline)
            .body(reqwest::Body::wrap_stream(data))
            .send()
            .await
            .map_err(unreachable)?;
        let body = success(answer).await?.bytes().await.map_err(unreachable)?;
        serde_json::from_slice(&body).map_err(|error| BlockError::Unreachable { reason: error.to_string() })
    }

    async fn get(&self, request: GetBlock) -> Result<BlockRead, BlockError> {
        let answer = in_time(self.reading(&request)?.send()).await?;
        read_answer(success(answer.map_err(unreachable)?).await?).await
    }

    async fn get_bytes(&self, request: GetBlock) -> Result<Bytes, BlockError> {
        let call = self.reading(&request)?.header(header::BYTES, "1");
        let answer = success(in_time(call.send()).await?.map_err(unreachable)?).await?;
        if !answer.headers().contains_key(header::BYTES) {
            return cut_out(read_answer(answer).await?, request.range).await;
        }
        let expected = request.range.map(|(start, end)| end - start);
        let received = answer.content_length();
        if received != expected {
            let (expected, received) = (expected.unwrap_or_default(), received.unwrap_or_default());
            return Err(BlockError::LengthMismatch { expected, received });
        }
        // A copy, because they may be part of the connection's read buffer.
        let bytes = in_time(answer.bytes()).await?.map_err(unreachable)?;
        Ok(Bytes::copy_from_slice(&bytes))
    }

    async fn head(&self, request: HeadBlock) -> Result<BlockInfo, BlockError> {
        let call = self.request(Method::HEAD, request.block, &request.token).timeout(READ_TIMEOUT);
        let answer = call.send().await.map_err(unreachable)?;
        if answer.status().is_success() {
            return block_info(&answer);
        }
        let error = answer.headers().get(header::ERROR).map_or(&[][..], |value| value.as_bytes());
        Err(decode_error(answer.status().as_u16(), error))
    }

    async fn delete(&self, request: DeleteBlock) -> Result<(), BlockError> {
        let call = self.request(Method::DELETE, request.block, &request.token).timeout(READ_TIMEOUT);
        success(call.send().await.map_err(unreachable)?).await.map(drop)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a function for map_err")]
fn unreachable(error: reqwest::Error) -> BlockError {
    if error.is_timeout() {
        return BlockError::TimedOut;
    }
    BlockError::Unreachable { reason: describe(&error) }
}

/// The output of one IO operation, unless it takes longer than [`READ_TIMEOUT`].
#[expect(clippy::disallowed_methods, reason = "it only ends one IO operation")]
async fn in_time<F: Future>(operation: F) -> Result<F::Output, BlockError> {
    tokio::time::timeout(READ_TIMEOUT, operation).await.map_err(|_| BlockError::TimedOut)
}

async fn success(answer: Response) -> Result<Response, BlockError> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status().as_u16();
    let body = in_time(answer.bytes()).await?;
    Err(decode_error(status, &body.map_err(unreachable)?))
}

fn text<'a>(answer: &'a Response, name: &str) -> Result<&'a str, BlockError> {
    let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| BlockError::Unreachable { reason: format!("the answer lacks {name}") })
}

fn number(answer: &Response, name: &str) -> Result<u64, BlockError> {
    text(answer, name)?
        .parse()
        .map_err(|_| BlockError::Unreachable { reason: format!("the answer's {name} is no number") })
}

fn block_info(answer: &Response) -> Result<BlockInfo, BlockError> {
    let length = number(answer, header::BLOCK_LENGTH)?;
    if length > BLOCK_LENGTH_MAX {
        return Err(BlockError::Unreachable { reason: format!("a block of {length} bytes") });
    }
    let crc32c = u32::from_str_radix(text(answer, header::CRC32C)?, 16)
        .map_err(|_| BlockError::Unreachable { reason: "the answer's CRC32C is no number".to_owned() })?;
    let optional = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let volume = optional(header::VOLUME).and_then(|volume| volume.parse().ok());
    let incarnation = optional(header::INCARNATION).and_then(|incarnation| incarnation.parse().ok());
    Ok(BlockInfo { length, crc32c, volume, incarnation })
}

/// A GET's answer as a block being read: headers, then the chunk table, then the data.
pub(super) async fn read_answer(answer: Response) -> Result<BlockRead, BlockError> {
    let info = block_info(&answer)?;
    let data_offset = number(&answer, header::DATA_OFFSET)?;
    let mut data = answer.bytes_stream().map_err(unreachable).boxed();
    let (table, rest) = read_table(&mut data, info.length).await?;
    let data = futures_util::stream::iter((!rest.is_empty()).then_some(Ok(rest))).chain(data).boxed();
    // The pieces are parts of the connection's read buffer.
    Ok(BlockRead { info, table, data_offset, data: with_read_timeout(data), owned_chunks: false })
}

/// Reads the table from the front of `data`. Returns it, and the bytes after it in the same piece.
async fn read_table(data: &mut BlockStream, length: u64) -> Result<(ChunkTable, Bytes), BlockError> {
    let table_length = chunk_count(length) * 4;
    let mut front = BytesMut::with_capacity(table_length);
    while front.len() < table_length {
        let piece = in_time(data.next()).await?;
        match piece {
            Some(piece) => front.extend_from_slice(&piece?),
            None => {
                let received = front.len() as u64;
                return Err(BlockError::LengthMismatch { expected: table_length as u64, received });
            }
        }
    }
    let rest = front.split_off(table_length).freeze();
    let table = ChunkTable::decode(&front).ok_or(BlockError::Internal)?;
    Ok((table, rest))
}

fn with_read_timeout(data: BlockStream) -> BlockStream {
    futures_util::stream::unfold(Some(data), |data| async move {
        let mut data = data?;
        match in_time(data.next()).await {
            Ok(Some(piece)) => Some((piece, Some(data))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}
