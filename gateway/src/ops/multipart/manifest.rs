//! The list of parts in a completion: parsing it, and comparing it with the parts that were uploaded. No IO.

use cairn_protocol::id::PartId;
use cairn_protocol::metadata::{ObjectChecksum, PartInfo, UploadInfo};
use md5::{Digest, Md5};
use sha2::Sha256;

use super::checksum::of_upload;
use super::id::PART_NUMBER_MAX;
use crate::body::OBJECT_SIZE_MAX;
use crate::checksum::{Algorithm, Checksum, ChecksumType, composite, full_object};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::xml::Element;

/// The minimum size of every part but the last, in bytes: 5 MiB (S3 User Guide, "Multipart upload limits").
const PART_SIZE_MIN: u64 = 5 << 20;

/// A part in the client's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedPart {
    number: u32,
    /// The ETag without quotes.
    etag: String,
    checksums: Vec<(Algorithm, String)>,
}

/// The parts of a completion, in ascending order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    parts: Vec<NamedPart>,
}

/// The object that the parts make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) parts: Vec<(u32, PartId)>,
    pub(super) length: u64,
    pub(super) etag: String,
    pub(super) checksum: Option<ObjectChecksum>,
}

impl Manifest {
    /// Reads a `<CompleteMultipartUpload>` document.
    ///
    /// # Errors
    /// `MalformedXML`, `InvalidArgument` or `InvalidPartOrder`.
    pub(super) fn parse(root: &Element) -> S3Result<Self> {
        root.only(&["Part"])?;
        let count = root.children().len();
        if count == 0 || count > PART_NUMBER_MAX as usize {
            return Err(S3Error::new(ErrorCode::MalformedXML));
        }
        let parts = root.children().iter().map(named_part).collect::<S3Result<Vec<_>>>()?;
        if parts.windows(2).any(|pair| pair[0].number >= pair[1].number) {
            return Err(S3Error::new(ErrorCode::InvalidPartOrder));
        }
        Ok(Self { parts })
    }

    /// A digest of the list, by which the metanode recognises a repeated completion.
    pub(super) fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for part in &self.parts {
            digest.update(format!("{} {}\n", part.number, part.etag));
            for (algorithm, value) in &part.checksums {
                digest.update(format!("{} {value}\n", algorithm.name()));
            }
        }
        hex::encode(digest.finalize())
    }

    /// Compares the list with the uploaded parts, which are in ascending order of their numbers, and combines them.
    ///
    /// # Errors
    /// `InvalidPart`, `EntityTooSmall` or `EntityTooLarge`; `InvalidRequest` if the object gets a composite checksum
    /// and the list lacks the checksum of a part.
    pub(super) fn join(&self, upload: &UploadInfo, uploaded: &[PartInfo]) -> S3Result<Whole> {
        let parts = self
            .parts
            .iter()
            .map(|named| {
                let found = uploaded.binary_search_by_key(&named.number, |part| part.number);
                found
                    .ok()
                    .map(|at| &uploaded[at])
                    .filter(|part| named.is(part))
                    .ok_or_else(|| named.invalid())
            })
            .collect::<S3Result<Vec<_>>>()?;
        self.check_checksums(upload)?;
        check_sizes(&parts)?;
        Ok(Whole {
            parts: parts.iter().map(|part| (part.number, part.part)).collect(),
            length: parts.iter().map(|part| part.length).sum(),
            etag: etag(&parts)?,
            checksum: checksum(upload, &parts)?,
        })
    }
}

impl Manifest {
    /// Checks that each part of an object with a composite checksum is listed with its own checksum (S3 User Guide,
    /// "Checking object integrity", "Using part-level checksums for multipart uploads").
    fn check_checksums(&self, upload: &UploadInfo) -> S3Result<()> {
        let Some((algorithm, ChecksumType::Composite)) = of_upload(upload) else { return Ok(()) };
        let has = |part: &NamedPart| part.checksums.iter().any(|(given, _)| *given == algorithm);
        let Some(part) = self.parts.iter().find(|part| !has(part)) else { return Ok(()) };
        let name = algorithm.name().to_ascii_lowercase();
        Err(S3Error::invalid_request(format!(
            "The upload was created using a {name} checksum. The complete request must include the checksum for each \
             part. It was missing for part {} in the request.",
            part.number
        )))
    }
}

fn named_part(element: &Element) -> S3Result<NamedPart> {
    let checksum_elements = Algorithm::ALL.map(Algorithm::element);
    let mut known = vec!["PartNumber", "ETag"];
    known.extend(checksum_elements);
    element.only(&known)?;
    let text = element.required("PartNumber")?.trimmed()?;
    let number: i64 = text.parse().map_err(|_| S3Error::new(ErrorCode::MalformedXML))?;
    let number = u32::try_from(number).ok().filter(|number| (1..=PART_NUMBER_MAX).contains(number));
    let number = number.ok_or_else(|| {
        S3Error::invalid_argument(
            "PartNumber",
            text,
            "Part number must be an integer between 1 and 10000, inclusive",
        )
    })?;
    let mut checksums = Vec::new();
    for algorithm in Algorithm::ALL {
        if let Some(value) = element.optional(algorithm.element())? {
            checksums.push((algorithm, value.trimmed()?.to_owned()));
        }
    }
    let etag = element.required("ETag")?.trimmed()?.trim_matches('"').to_owned();
    Ok(NamedPart { number, etag, checksums })
}

impl NamedPart {
    /// Whether the uploaded part is the one that the client lists.
    fn is(&self, part: &PartInfo) -> bool {
        let has = |(algorithm, value): &(Algorithm, String)| {
            part.checksum.as_ref().is_some_and(|stored| {
                Algorithm::from(stored.algorithm) == *algorithm && stored.value == *value
            })
        };
        self.etag.eq_ignore_ascii_case(&part.etag) && self.checksums.iter().all(has)
    }

    fn invalid(&self) -> S3Error {
        S3Error::new(ErrorCode::InvalidPart)
            .detail("PartNumber", self.number.to_string())
            .detail("ETag", &self.etag)
    }
}

fn check_sizes(parts: &[&PartInfo]) -> S3Result<()> {
    let (_, all_but_last) = parts.split_last().unwrap_or((&parts[0], &[]));
    if let Some(small) = all_but_last.iter().find(|part| part.length < PART_SIZE_MIN) {
        return Err(S3Error::new(ErrorCode::EntityTooSmall)
            .detail("ProposedSize", small.length.to_string())
            .detail("MinSizeAllowed", PART_SIZE_MIN.to_string())
            .detail("PartNumber", small.number.to_string())
            .detail("ETag", &small.etag));
    }
    let length: u64 = parts.iter().map(|part| part.length).sum();
    if length > OBJECT_SIZE_MAX {
        return Err(S3Error::new(ErrorCode::EntityTooLarge)
            .detail("ProposedSize", length.to_string())
            .detail("MaxSizeAllowed", OBJECT_SIZE_MAX.to_string()));
    }
    Ok(())
}

/// The MD5 of the binary MD5s of the parts, and the number of parts.
fn etag(parts: &[&PartInfo]) -> S3Result<String> {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(hex::decode(&part.etag).map_err(S3Error::internal)?);
    }
    Ok(format!("{}-{}", hex::encode(md5.finalize()), parts.len()))
}

fn checksum(upload: &UploadInfo, parts: &[&PartInfo]) -> S3Result<Option<ObjectChecksum>> {
    let checksums: Option<Vec<Checksum>> =
        parts.iter().map(|part| Checksum::from_stored(part.checksum.as_ref()?)).collect();
    let wanted = of_upload(upload);
    let Some(checksums) = checksums else {
        return match wanted {
            None => Ok(None),
            Some(_) => Err(S3Error::internal("a part without the checksum of its upload")),
        };
    };
    let lengths = parts.iter().map(|part| part.length);
    match wanted {
        Some((algorithm, ChecksumType::Composite)) => {
            let whole = composite(algorithm, &checksums).map_err(S3Error::internal)?;
            Ok(Some(whole.to_stored(ChecksumType::Composite)))
        }
        Some((algorithm, ChecksumType::FullObject)) => {
            let whole = full_object(algorithm, checksums.iter().zip(lengths)).map_err(S3Error::internal)?;
            Ok(Some(whole.to_stored(ChecksumType::FullObject)))
        }
        None => {
            let first = checksums.first().map(Checksum::algorithm);
            let whole = first.and_then(|first| full_object(first, checksums.iter().zip(lengths)).ok());
            Ok(whole.map(|whole| whole.to_stored(ChecksumType::FullObject)))
        }
    }
}

#[cfg(test)]
mod tests;
