//! The code that GetObject and HeadObject share: finding the object, checking conditions, resolving the range.

use cairn_protocol::metadata::{
    LocatedObject, LookupObject, LookupRange, MetadataError, ObjectVersion, ResolvedRange,
};
use http::{HeaderMap, header};

use super::identity::identity_headers;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::gateway::Gateway;
use crate::headers::single;
use crate::request::Request;
use crate::types::{
    BucketName, EtagList, ObjectKey, ReadConditions, Verdict, parse_date_s, parse_range, refuse_version,
};

/// Upper limit of S3 for part numbers.
const PART_NUMBER_MAX: u32 = 10_000;

/// Finds the current version, without its extents.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchKey`.
pub(crate) async fn lookup(
    gateway: &Gateway,
    bucket: &BucketName,
    key: &ObjectKey,
) -> S3Result<ObjectVersion> {
    let request = LookupObject {
        bucket: bucket.to_string(),
        key: key.to_string(),
        version: None,
        range: LookupRange::Whole,
        extents_max: 0,
    };
    match gateway.metadata.lookup_object(request).await {
        Ok(located) => Ok(located.object),
        Err(error) => Err(missing(error, key)),
    }
}

fn missing(error: MetadataError, key: &ObjectKey) -> S3Error {
    let no_key = error == MetadataError::NoSuchKey;
    let answer = S3Error::from(error);
    if no_key { answer.detail("Key", key.as_str()) } else { answer }
}

/// The head of a GET or HEAD request.
#[derive(Debug)]
pub(super) struct Read {
    bucket: BucketName,
    key: ObjectKey,
    range: LookupRange,
    conditions: ReadConditions,
    if_range: Option<IfRange>,
    /// The header `Range` as it was sent; errors return it.
    range_text: Option<String>,
}

/// The header `If-Range` (RFC 9110, section 13.1.5): the range applies only if the object still matches.
#[derive(Debug)]
enum IfRange {
    Etag(EtagList),
    Date(u64),
    /// Matches no object.
    Nonsense,
}

/// What the response contains.
#[derive(Debug)]
pub(super) struct Found {
    /// The object, and the location of its bytes.
    pub(super) located: LocatedObject,
    /// The first byte, and one past the last.
    pub(super) bytes: (u64, u64),
    /// Whether the response is 206, a part of the object.
    pub(super) partial: bool,
    /// The part, if the request names a part number.
    pub(super) part: Option<u32>,
}

impl Read {
    /// Reads the request.
    ///
    /// # Errors
    /// `InvalidArgument`; `InvalidRequest` for a range together with a part number.
    pub(super) fn parse(request: &Request) -> S3Result<Self> {
        refuse_version(&request.query)?;
        let range = parse_range(&request.headers)?;
        let range = match (part_number(request)?, range) {
            (Some(_), Some(_)) => {
                return Err(S3Error::invalid_request(
                    "Cannot specify both Range header and partNumber query parameter",
                ));
            }
            (Some(number), None) => LookupRange::Part { number },
            (None, range) => range.unwrap_or(LookupRange::Whole),
        };
        let text = single(&request.headers, header::RANGE.as_str())?;
        Ok(Self {
            bucket: request.bucket()?.clone(),
            key: request.key()?.clone(),
            range,
            conditions: ReadConditions::parse(&request.headers)?,
            if_range: if_range(&request.headers)?,
            range_text: text.map(str::to_owned),
        })
    }

    /// Finds the object and checks the conditions. The reply of the metanode contains up to `extents_max` extents.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`, `PreconditionFailed`, `NotModified`, `InvalidRange`, `InvalidPartNumber`.
    pub(super) async fn find(&self, gateway: &Gateway, extents_max: u32) -> S3Result<Found> {
        let mut range = self.range;
        let mut located = self.lookup(gateway, range, extents_max).await?;
        let is_range = matches!(range, LookupRange::Bytes { .. } | LookupRange::Suffix { .. });
        let holds = self.if_range.as_ref().is_none_or(|if_range| if_range.holds(&located.object));
        if is_range && !holds {
            range = LookupRange::Whole;
            located = self.lookup(gateway, range, extents_max).await?;
        }
        self.check_conditions(&located.object)?;
        let ResolvedRange::Satisfiable { start, end } = located.range else {
            return Err(self.unsatisfiable(located.object.length));
        };
        let part = match range {
            LookupRange::Part { number } => Some(number),
            LookupRange::Whole | LookupRange::Bytes { .. } | LookupRange::Suffix { .. } => None,
        };
        Ok(Found { bytes: (start, end), partial: range != LookupRange::Whole, part, located })
    }

    async fn lookup(
        &self,
        gateway: &Gateway,
        range: LookupRange,
        extents_max: u32,
    ) -> S3Result<LocatedObject> {
        let (bucket, key) = (self.bucket.to_string(), self.key.to_string());
        let request = LookupObject { bucket, key, version: None, range, extents_max };
        gateway.metadata.lookup_object(request).await.map_err(|error| missing(error, &self.key))
    }

    fn check_conditions(&self, object: &ObjectVersion) -> S3Result<()> {
        match self.conditions.evaluate(&object.etag, object.modified_at) {
            Verdict::Proceed => Ok(()),
            Verdict::Failed(condition) => {
                Err(S3Error::new(ErrorCode::PreconditionFailed).detail("Condition", condition))
            }
            Verdict::NotModified(_) => {
                // RFC 9110, section 15.4.5: a 304 has the headers for caches that a 200 would have.
                let answer = S3Error::new(ErrorCode::NotModified);
                Err(identity_headers(object)
                    .into_iter()
                    .fold(answer, |answer, (name, value)| answer.header(name, value)))
            }
        }
    }

    fn unsatisfiable(&self, length: u64) -> S3Error {
        S3Error::new(ErrorCode::InvalidRange)
            .detail("RangeRequested", self.range_text.clone().unwrap_or_default())
            .detail("ActualObjectSize", length.to_string())
            .header(header::CONTENT_RANGE, format!("bytes */{length}"))
    }
}

impl IfRange {
    fn holds(&self, object: &ObjectVersion) -> bool {
        match self {
            Self::Etag(list) => list.matches(&object.etag),
            Self::Date(date_s) => object.modified_at.0 / 1000 == *date_s,
            Self::Nonsense => false,
        }
    }
}

fn if_range(headers: &HeaderMap) -> S3Result<Option<IfRange>> {
    let text = single(headers, header::IF_RANGE.as_str())?.map(str::trim);
    Ok(text.map(|text| {
        if text.starts_with('"') {
            IfRange::Etag(EtagList::parse(text))
        } else {
            // A value that is not a date never matches, so the whole object is sent.
            parse_date_s(text).map_or(IfRange::Nonsense, IfRange::Date)
        }
    }))
}

fn part_number(request: &Request) -> S3Result<Option<u32>> {
    let Some(text) = request.query.get("partNumber") else { return Ok(None) };
    match text.parse() {
        Ok(number) if (1..=PART_NUMBER_MAX).contains(&number) => Ok(Some(number)),
        _ => Err(S3Error::invalid_argument(
            "partNumber",
            text,
            "Part number must be an integer between 1 and 10000, inclusive",
        )),
    }
}
