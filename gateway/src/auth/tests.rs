//! The examples of AWS's documentation, and requests that must be refused.

use std::time::Duration;

use cairn_protocol::env::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;

use super::*;
use crate::uri::Query;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// 2013-05-24T00:00:00Z.
const NOW: Timestamp = Timestamp(1_369_353_600_000);

const ACCEPTED: Accepted<'_> = Accepted { region: "us-east-1", version_two: false };

struct Example {
    method: Method,
    path: String,
    query: Query,
    headers: HeaderMap,
}

impl Example {
    fn new(method: Method, target: &str, headers: &[(&str, &str)]) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = headers.iter().map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        });
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        Self { method, path: path.to_owned(), query: Query::parse(query).unwrap(), headers: map }
    }

    fn view(&self) -> RequestView<'_> {
        RequestView {
            method: &self.method,
            raw_path: &self.path,
            query: &self.query,
            headers: &self.headers,
            virtual_bucket: None,
        }
    }

    fn verify_at(&self, now: Timestamp) -> S3Result<Verified> {
        let claim = read_claim(&self.view(), ACCEPTED)?;
        assert_eq!(claim.access_key(), "AKIAIOSFODNN7EXAMPLE");
        claim.verify(&self.view(), &SecretKey::new(SECRET), now)
    }

    fn code(&self) -> ErrorCode {
        self.verify_at(NOW).unwrap_err().code()
    }
}

fn authorization(signed: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
         SignedHeaders={signed}, Signature={signature}"
    )
}

const HOST: (&str, &str) = ("host", "examplebucket.s3.amazonaws.com");
const DATE: (&str, &str) = ("x-amz-date", "20130524T000000Z");
const SHA: (&str, &str) = ("x-amz-content-sha256", EMPTY);

/// The four examples of "Signature Calculations for the Authorization Header: Transferring Payload in a
/// Single Chunk".
#[test]
fn signatures_in_the_header_agree_with_the_documentation() {
    let get_object = authorization(
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
    let get = Example::new(
        Method::GET,
        "/test.txt",
        &[("Authorization", &get_object), ("range", "bytes=0-9"), HOST, SHA, DATE],
    );
    assert_eq!(get.verify_at(NOW).unwrap().access_key(), "AKIAIOSFODNN7EXAMPLE");

    let put_object = authorization(
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    );
    let sha = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    let put = Example::new(
        Method::PUT,
        "/test%24file.text",
        &[
            ("Authorization", &put_object),
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("x-amz-content-sha256", sha),
            HOST,
            DATE,
        ],
    );
    assert!(matches!(put.verify_at(NOW).unwrap().content(), ContentSha256::Digest(_)));

    let signed = "host;x-amz-content-sha256;x-amz-date";
    for (target, signature) in [
        ("/?lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("/?max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ("/?prefix=J&max-keys=2", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ] {
        let header = authorization(signed, signature);
        let example = Example::new(Method::GET, target, &[("Authorization", &header), HOST, SHA, DATE]);
        assert!(example.verify_at(NOW).is_ok(), "{target}");
    }
}

fn presigned(change: impl Fn(&str) -> String) -> Example {
    let target = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
        &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
        &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    Example::new(Method::GET, &change(target), &[HOST])
}

/// The example of "Authenticating Requests: Using Query Parameters".
#[test]
fn the_presigned_example_of_the_documentation_is_valid_for_its_day() {
    let example = presigned(str::to_owned);
    assert!(example.verify_at(NOW).unwrap().is_presigned());
    let day = Duration::from_secs(86_400);
    assert!(example.verify_at(NOW.after(day)).is_ok());
    let expired = example.verify_at(NOW.after(day + Duration::from_secs(1))).unwrap_err();
    assert_eq!((expired.code(), expired.message()), (ErrorCode::AccessDenied, "Request has expired"));
    assert!(example.verify_at(NOW.before(Duration::from_secs(900))).is_ok());
    let early = example.verify_at(NOW.before(Duration::from_secs(901))).unwrap_err();
    assert_eq!((early.code(), early.message()), (ErrorCode::AccessDenied, "Request is not yet valid"));
}

#[test]
fn presigned_queries_that_are_incomplete_or_altered_are_refused() {
    let cases: [(&str, &str, ErrorCode); 9] = [
        ("86400", "86401", ErrorCode::SignatureDoesNotMatch),
        ("/test.txt", "/test.tx", ErrorCode::SignatureDoesNotMatch),
        ("86400", "604801", ErrorCode::AuthorizationQueryParametersError),
        ("&X-Amz-Expires=86400", "", ErrorCode::AuthorizationQueryParametersError),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", ErrorCode::AuthorizationQueryParametersError),
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", ErrorCode::NotImplemented),
        ("us-east-1", "eu-west-1", ErrorCode::AuthorizationQueryParametersError),
        ("%2F20130524", "", ErrorCode::AuthorizationQueryParametersError),
        ("20130524T000000Z", "20130524", ErrorCode::AuthorizationQueryParametersError),
    ];
    for (from, to, code) in cases {
        assert_eq!(presigned(|target| target.replacen(from, to, 1)).code(), code, "{from} -> {to}");
    }
}

fn list_request(header: &str, more: &[(&str, &str)]) -> Example {
    let mut headers = vec![("Authorization", header), HOST, SHA, DATE];
    headers.extend_from_slice(more);
    Example::new(Method::GET, "/?lifecycle", &headers)
}

const LIFECYCLE: &str = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543";

#[test]
fn fifteen_minutes_of_skew_are_allowed_and_not_a_second_more() {
    let header = authorization("host;x-amz-content-sha256;x-amz-date", LIFECYCLE);
    let example = list_request(&header, &[]);
    for now in [NOW.after(Duration::from_secs(900)), NOW.before(Duration::from_secs(900))] {
        assert!(example.verify_at(now).is_ok());
    }
    for now in [NOW.after(Duration::from_secs(901)), NOW.before(Duration::from_secs(901))] {
        assert_eq!(example.verify_at(now).unwrap_err().code(), ErrorCode::RequestTimeTooSkewed);
    }
}

#[test]
fn headers_that_change_meaning_must_be_signed() {
    let header = authorization("host;x-amz-content-sha256;x-amz-date", LIFECYCLE);
    let error = list_request(&header, &[("x-amz-acl", "private")]).verify_at(NOW).unwrap_err();
    assert_eq!(error.code(), ErrorCode::AccessDenied);
    assert_eq!(error.details(), [("HeadersNotSigned", "x-amz-acl".to_owned())]);

    let header = authorization("x-amz-content-sha256;x-amz-date", LIFECYCLE);
    let error = list_request(&header, &[]).verify_at(NOW).unwrap_err();
    assert_eq!(error.details(), [("HeadersNotSigned", "host".to_owned())]);
}

#[test]
fn a_wrong_region_is_answered_with_the_right_one() {
    let header = authorization("host", LIFECYCLE).replace("us-east-1", "eu-west-1");
    let error = list_request(&header, &[]).verify_at(NOW).unwrap_err();
    assert_eq!(error.code(), ErrorCode::AuthorizationHeaderMalformed);
    assert_eq!(
        error.message(),
        "The authorization header is malformed; the region 'eu-west-1' is wrong; expecting 'us-east-1'"
    );
    assert_eq!(error.details(), [("Region", "us-east-1".to_owned())]);
}

#[test]
fn other_authorizations_are_refused_with_the_reason() {
    let good = authorization("host;x-amz-content-sha256;x-amz-date", LIFECYCLE);
    let cases: [(&str, ErrorCode); 9] = [
        ("AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=", ErrorCode::InvalidRequest),
        ("Basic dXNlcjpwYXNz", ErrorCode::InvalidArgument),
        ("", ErrorCode::InvalidArgument),
        ("AWS4-HMAC-SHA256", ErrorCode::AuthorizationHeaderMalformed),
        ("AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host", ErrorCode::AuthorizationHeaderMalformed),
        (&good.replace("Signature=", "Signatur="), ErrorCode::AuthorizationHeaderMalformed),
        (&good.replace("/s3/", "/iam/"), ErrorCode::AuthorizationHeaderMalformed),
        (&good.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), ErrorCode::NotImplemented),
        (&good.replace("fea4", "fea5"), ErrorCode::SignatureDoesNotMatch),
    ];
    for (header, code) in cases {
        assert_eq!(list_request(header, &[]).code(), code, "{header}");
    }
    assert_eq!(Example::new(Method::GET, "/", &[HOST]).code(), ErrorCode::AccessDenied);
    assert_eq!(list_request(&good, &[("x-amz-security-token", "t")]).code(), ErrorCode::AccessDenied);
    let both =
        Example::new(Method::GET, "/?X-Amz-Algorithm=AWS4-HMAC-SHA256", &[("Authorization", &good), HOST]);
    assert_eq!(both.code(), ErrorCode::InvalidArgument);
    let undated = Example::new(Method::GET, "/", &[("Authorization", &good), HOST, SHA]);
    assert_eq!(undated.code(), ErrorCode::AccessDenied);
    let no_sha = Example::new(Method::GET, "/", &[("Authorization", &good), HOST, DATE]);
    assert_eq!(no_sha.code(), ErrorCode::InvalidRequest);
}

fn upload(headers: &[(&str, &str)]) -> ChunkSigner {
    let mut all = vec![("host", "s3.amazonaws.com"), DATE];
    all.extend_from_slice(headers);
    let example = Example::new(Method::PUT, "/examplebucket/chunkObject.txt", &all);
    example.verify_at(NOW).unwrap().chunk_signer().unwrap()
}

/// "Transferring Payload in Multiple Chunks", the example without trailers.
#[test]
fn chunk_signatures_agree_with_the_documentation() {
    let header = authorization(
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    );
    let mut signer = upload(&[
        ("Authorization", &header),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("content-length", "66824"),
    ]);
    for (length, signature) in [
        (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
        (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
        (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
    ] {
        assert_eq!(signer.next_chunk(&sha256_hex(&vec![b'a'; length])).as_str(), signature);
    }
}

/// "Signature calculations … Including trailing headers", the example.
#[test]
fn trailer_signatures_agree_with_the_documentation() {
    let header = authorization(
        "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    );
    let mut signer = upload(&[
        ("Authorization", &header),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("x-amz-trailer", "x-amz-checksum-crc32c"),
    ]);
    for (length, signature) in [
        (65536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
        (1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
        (0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
    ] {
        assert_eq!(signer.next_chunk(&sha256_hex(&vec![b'a'; length])).as_str(), signature);
    }
    assert_eq!(
        signer.trailer("x-amz-checksum-crc32c:sOO8/Q==\n").as_str(),
        "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
    );
}

proptest! {
    /// Any text in the places that are parsed causes an error and no panic.
    #[test]
    fn nothing_that_is_sent_makes_verification_panic(
        authorization in "(AWS4-HMAC-SHA256|AWS| |,|=|;|Credential|SignedHeaders|Signature|/|s3|us-east-1|aws4_request|[a-z0-9]{1,8}|20130524){0,30}",
        date in "([0-9]{8}T[0-9]{6}Z|[ -~]{0,20})",
        query in "(X-Amz-Algorithm|X-Amz-Credential|X-Amz-Date|X-Amz-Expires|X-Amz-SignedHeaders|X-Amz-Signature|&|=|%2F|AWS4-HMAC-SHA256|20130524T000000Z|[a-z0-9]){0,30}",
    ) {
        for headers in [vec![HOST, SHA, ("authorization", authorization.as_str()), ("x-amz-date", &date)], vec![HOST]] {
            let example = Example::new(Method::GET, &format!("/?{query}"), &headers);
            if let Ok(claim) = read_claim(&example.view(), ACCEPTED) {
                prop_assert!(claim.verify(&example.view(), &SecretKey::new(SECRET), NOW).is_err());
            }
        }
    }
}
