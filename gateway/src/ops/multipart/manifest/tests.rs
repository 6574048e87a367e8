//! The list of parts in a completion: what AWS refuses is refused, and nothing else.

use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::id::UploadId;
use cairn_protocol::metadata::{ObjectAttributes, Tags};

use super::*;
use crate::checksum::Hasher;
use crate::xml;

const MIB: u64 = 1 << 20;

fn manifest(parts: &str) -> S3Result<Manifest> {
    let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    Manifest::parse(&xml::parse(document.as_bytes(), "CompleteMultipartUpload")?)
}

fn named(number: u32, etag: &str) -> String {
    format!("<Part><ETag>&quot;{etag}&quot;</ETag><PartNumber>{number}</PartNumber></Part>")
}

fn upload(checksum: Option<(Algorithm, ChecksumType)>) -> UploadInfo {
    UploadInfo {
        key: "key".to_owned(),
        upload: UploadId(Env::manual(1, Timestamp(1)).0.uuid_v7()),
        initiated_at: Timestamp(1),
        attributes: ObjectAttributes::default(),
        tags: Tags::new(),
        checksum: checksum.map(|(algorithm, kind)| (algorithm.into(), kind.into())),
    }
}

/// A part with the digests of these bytes that claims another length.
fn part(number: u32, bytes: &[u8], length: u64, algorithm: Algorithm) -> PartInfo {
    PartInfo {
        number,
        part: PartId(Env::manual(u64::from(number), Timestamp(1)).0.uuid_v7()),
        length,
        etag: hex::encode(Md5::digest(bytes)),
        checksum: Some(Hasher::of(algorithm, bytes).to_stored(ChecksumType::FullObject)),
        modified_at: Timestamp(1),
    }
}

fn all(parts: &[PartInfo]) -> Manifest {
    manifest(&parts.iter().map(|part| named(part.number, &part.etag)).collect::<String>()).unwrap()
}

#[test]
fn parts_are_named_once_each_in_order() {
    for parts in [named(2, "a") + &named(1, "b"), named(1, "a") + &named(1, "a")] {
        assert_eq!(manifest(&parts).unwrap_err().code(), ErrorCode::InvalidPartOrder);
    }
    for parts in ["", "<Part/>", "<Part><PartNumber>1</PartNumber></Part>", "<Other/>"] {
        assert_eq!(manifest(parts).unwrap_err().code(), ErrorCode::MalformedXML, "{parts}");
    }
    for number in [0, 10_001] {
        assert_eq!(manifest(&named(number, "a")).unwrap_err().code(), ErrorCode::InvalidArgument);
    }
    let gaps = named(3, "a") + &named(10_000, "b");
    assert_eq!(manifest(&gaps).unwrap().parts.len(), 2);
}

/// `printf a | md5sum`, `printf b | md5sum`, and the MD5 of both in binary.
#[test]
fn the_etag_is_the_md5_of_the_parts_md5s_and_their_number() {
    let parts = [part(1, b"a", 5 * MIB, Algorithm::Crc32), part(2, b"b", 1, Algorithm::Crc32)];
    assert_eq!(parts[0].etag, "0cc175b9c0f1b6a831c399e269772661");
    let whole = all(&parts).join(&upload(None), &parts).unwrap();
    assert_eq!(whole.etag, "96e024ba2074fe77e8e965ba43a704be-2");
    assert_eq!(whole.length, 5 * MIB + 1);
}

#[test]
fn a_part_that_is_missing_or_another_one_is_invalid() {
    let parts = [part(1, b"a", 5 * MIB, Algorithm::Crc32), part(3, b"b", 1, Algorithm::Crc32)];
    for wrong in [
        named(2, &parts[0].etag),
        named(1, &parts[1].etag),
        named(1, ""),
        named(1, &parts[0].etag).replace("</Part>", "<ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>"),
        named(1, &parts[0].etag).replace("</Part>", "<ChecksumSHA1>x</ChecksumSHA1></Part>"),
    ] {
        let error = manifest(&wrong).unwrap().join(&upload(None), &parts).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidPart, "{wrong}");
    }
    let right = named(1, &parts[0].etag.to_uppercase());
    assert!(manifest(&right).unwrap().join(&upload(None), &parts).is_ok());
}

#[test]
fn every_part_but_the_last_has_five_mebibytes() {
    let parts = |first| [part(1, b"a", first, Algorithm::Crc32), part(2, b"b", 0, Algorithm::Crc32)];
    let small = parts(5 * MIB - 1);
    let error = all(&small).join(&upload(None), &small).unwrap_err();
    assert_eq!(error.code(), ErrorCode::EntityTooSmall);
    assert!(error.details().contains(&("PartNumber", "1".to_owned())));
    let enough = parts(5 * MIB);
    assert!(all(&enough).join(&upload(None), &enough).is_ok());
}

/// The maximum object size, 48.8 TiB: AWS raised the limit from 5 TiB in December 2025.
#[test]
fn the_largest_object_is_ten_thousand_parts_of_five_gibibytes() {
    let mut parts: Vec<_> = (1..=10_000).map(|n| part(n, b"a", 5 << 30, Algorithm::Crc32)).collect();
    let whole = all(&parts).join(&upload(None), &parts).unwrap();
    assert_eq!(whole.length, 53_687_091_200_000);
    assert!(whole.etag.ends_with("-10000"));
    assert!(whole.checksum.is_some());
    // No client can upload a part of this length. If there were one, the object would still be refused.
    parts[9_999].length += 1;
    let error = all(&parts).join(&upload(None), &parts).unwrap_err();
    assert_eq!(error.code(), ErrorCode::EntityTooLarge);
    assert!(error.details().contains(&("MaxSizeAllowed", "53687091200000".to_owned())));
}

/// Cairn completed an upload with a composite checksum although the list lacked the parts' checksums. AWS answers with
/// an error.
#[test]
fn a_composite_checksum_needs_those_of_all_parts() {
    let parts = [part(1, b"a", 5 * MIB, Algorithm::Sha256), part(2, b"b", 1, Algorithm::Sha256)];
    let composite = upload(Some((Algorithm::Sha256, ChecksumType::Composite)));
    let error = all(&parts).join(&composite, &parts).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidRequest);
    assert!(error.message().ends_with("It was missing for part 1 in the request."), "{}", error.message());
    let first = with_checksum(&parts[0]) + &named(2, &parts[1].etag);
    let error = manifest(&first).unwrap().join(&composite, &parts).unwrap_err();
    assert!(error.message().ends_with("It was missing for part 2 in the request."), "{}", error.message());
    let both: String = parts.iter().map(with_checksum).collect();
    assert!(manifest(&both).unwrap().join(&composite, &parts).is_ok());
    // A missing part is reported before a missing checksum.
    assert_eq!(
        manifest(&named(3, "x")).unwrap().join(&composite, &parts).unwrap_err().code(),
        ErrorCode::InvalidPart
    );
    // The gateway can compute a full-object checksum without the client's values, so the list may omit them.
    let crcs = [part(1, b"a", 5 * MIB, Algorithm::Crc32)];
    for kind in [Some((Algorithm::Crc32, ChecksumType::FullObject)), None] {
        assert!(all(&crcs).join(&upload(kind), &crcs).is_ok());
    }
}

fn with_checksum(part: &PartInfo) -> String {
    let checksum = part.checksum.as_ref().unwrap();
    let element = Algorithm::from(checksum.algorithm).element();
    let sum = format!("<{element}>{}</{element}></Part>", checksum.value);
    named(part.number, &part.etag).replace("</Part>", &sum)
}

#[test]
fn checksums_are_of_the_kind_that_the_upload_was_created_with() {
    let bytes = [vec![1; 5 * MIB as usize], vec![2; 10]];
    let whole = bytes.concat();
    let join = |algorithm: Algorithm, kind: Option<ChecksumType>| {
        let parts = [
            part(1, &bytes[0], bytes[0].len() as u64, algorithm),
            part(2, &bytes[1], bytes[1].len() as u64, algorithm),
        ];
        let upload = upload(kind.map(|kind| (algorithm, kind)));
        let named: String = parts.iter().map(with_checksum).collect();
        manifest(&named).unwrap().join(&upload, &parts).unwrap().checksum
    };
    let full = |algorithm| Some(Hasher::of(algorithm, &whole).to_stored(ChecksumType::FullObject));
    let of_checksums = |algorithm| {
        let both: Vec<u8> =
            bytes.iter().flat_map(|bytes| Hasher::of(algorithm, bytes).value().to_vec()).collect();
        Some(Hasher::of(algorithm, &both).to_stored(ChecksumType::Composite))
    };
    for algorithm in Algorithm::ALL {
        if ChecksumType::FullObject.is_offered_with(algorithm) {
            assert_eq!(join(algorithm, Some(ChecksumType::FullObject)), full(algorithm));
            assert_eq!(join(algorithm, None), full(algorithm));
        } else {
            assert_eq!(join(algorithm, None), None);
        }
        if ChecksumType::Composite.is_offered_with(algorithm) {
            assert_eq!(join(algorithm, Some(ChecksumType::Composite)), of_checksums(algorithm));
        }
    }
}

#[test]
fn only_the_same_request_has_the_same_digest() {
    let digest = |parts: &str| manifest(parts).unwrap().digest();
    let one = named(1, "aa");
    assert_eq!(digest(&one), digest("<Part><PartNumber> 1 </PartNumber><ETag>aa</ETag></Part>"));
    assert_ne!(digest(&one), digest(&named(1, "ab")));
    assert_ne!(digest(&one), digest(&named(2, "aa")));
    assert_ne!(digest(&one), digest(&(one.clone() + &named(2, "aa"))));
}
