//! The code that GetObject and HeadObject share: finding the object, checking conditions, resolving the range.

use cairn_protocol::metadata::{
    LocatedObject, LookupObject, LookupRange, MetadataError, ObjectVersion, ResolvedRange, VersionName,
};
use http::{HeaderMap, header};

use super::identity::identity_headers;
use crate::access::Authorised;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::headers::single;
use crate::request::Request;
use crate::response;
use crate::types::{
    BucketName, DELETE_MARKER_HEADER, EtagList, ObjectKey, ReadConditions, VERSION_HEADER, Verdict,
    parse_date_s, parse_range, parse_version,
};

/// Upper limit of S3 for part numbers.
const PART_NUMBER_MAX: u32 = 10_000;

/// Finds a version, the current one unless it is named, without its extents.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion`; `MethodNotAllowed` for a delete marker.
pub(crate) async fn lookup(
    gateway: &Authorised,
    bucket: &BucketName,
    key: &ObjectKey,
    version: Option<VersionName>,
) -> S3Result<ObjectVersion> {
    let request = LookupObject {
        bucket: bucket.to_string(),
        key: key.to_string(),
        version,
        range: LookupRange::Whole,
        extents_max: 0,
    };
    match gateway.metadata.lookup_object(request).await {
        Ok(located) => Ok(located.object),
        Err(error) => Err(gateway.missing(bucket.as_str(), missing(error, key, version))),
    }
}

/// The answer to a request for a version that cannot be read.
pub(crate) fn missing(error: MetadataError, key: &ObjectKey, version: Option<VersionName>) -> S3Error {
    match (&error, version) {
        (MetadataError::NoSuchKey, _) => S3Error::from(error).detail("Key", key.as_str()),
        (MetadataError::NoSuchVersion, Some(version)) => {
            S3Error::from(error).detail("Key", key.as_str()).detail("VersionId", version.to_string())
        }
        // The object is deleted.
        (MetadataError::DeleteMarker { name, .. }, None) => S3Error::new(ErrorCode::NoSuchKey)
            .detail("Key", key.as_str())
            .header(DELETE_MARKER_HEADER, "true".to_owned())
            .header(VERSION_HEADER, name.to_string()),
        // The marker is named, and can only be deleted.
        (MetadataError::DeleteMarker { name, modified_at }, Some(_)) => {
            S3Error::new(ErrorCode::MethodNotAllowed)
                .detail("ResourceType", "DeleteMarker")
                .header(DELETE_MARKER_HEADER, "true".to_owned())
                .header(VERSION_HEADER, name.to_string())
                .header(header::LAST_MODIFIED, response::http_date(*modified_at))
                .header(header::ALLOW, "DELETE".to_owned())
        }
        _ => S3Error::from(error),
    }
}

/// The head of a GET or HEAD request.
#[derive(Debug)]
pub(super) struct Read {
    bucket: BucketName,
    key: ObjectKey,
    version: Option<VersionName>,
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
        let version = parse_version(&request.query)?;
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
            version,
            range,
            conditions: ReadConditions::parse(&request.headers)?,
            if_range: if_range(&request.headers)?,
            range_text: text.map(str::to_owned),
        })
    }

    /// Finds the object and checks the conditions. The reply of the metanode contains up to `extents_max` extents.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion`, `MethodNotAllowed`, `PreconditionFailed`, `NotModified`, `InvalidRange`, `InvalidPartNumber`.
    pub(super) async fn find(&self, gateway: &Authorised, extents_max: u32) -> S3Result<Found> {
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

    /// Whether the version that was found is known to be the current one: it was not named, or there is no other.
    pub(super) fn is_of_current(&self, found: &Found) -> bool {
        self.version.is_none() || !found.located.object.is_versioned
    }

    async fn lookup(
        &self,
        gateway: &Authorised,
        range: LookupRange,
        extents_max: u32,
    ) -> S3Result<LocatedObject> {
        let (bucket, key) = (self.bucket.to_string(), self.key.to_string());
        let version = self.version;
        let request = LookupObject { bucket, key, version, range, extents_max };
        gateway
            .metadata
            .lookup_object(request)
            .await
            .map_err(|error| gateway.missing(self.bucket.as_str(), missing(error, &self.key, version)))
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
