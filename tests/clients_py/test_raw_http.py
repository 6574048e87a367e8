"""HTTP itself: framing, pipelining, Expect, HTTP/2, and the parts of a request that its signature covers."""

import datetime
import hashlib
import json
import subprocess

import pytest
import tools
from data import MIB, some_bytes
from errors import s3_error
from raw import (
    STREAMING,
    UNSIGNED,
    UNSIGNED_TRAILER,
    Raw,
    signed_chunks,
    unsigned_chunks,
)


@pytest.fixture
def raw(server):
    return Raw(server.port)


def missing(s3, bucket, key="k"):
    """Asserts that nothing is stored under the key; returns True."""
    with s3_error("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key=key)
    return True


def test_a_signed_payload(raw, bucket, s3):
    assert raw.send("PUT", f"/{bucket}/k", body=b"body").status == 200
    answer = raw.send("GET", f"/{bucket}/k")
    assert (answer.status, answer.body) == (200, b"body")


def test_a_payload_that_is_not_the_signed_one(raw, bucket, s3):
    other = hashlib.sha256(b"other").hexdigest()
    answer = raw.send("PUT", f"/{bucket}/k", body=b"body", payload=other)
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")
    assert missing(s3, bucket)
    answer = raw.send("PUT", f"/{bucket}/k", body=b"body", payload="not a hash")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_an_unsigned_payload(raw, bucket, s3):
    assert raw.send("PUT", f"/{bucket}/k", body=b"body", payload=UNSIGNED).status == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"body"


def streaming(raw, bucket, length, payload=STREAMING, headers=None):
    headers = {
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(length),
        **(headers or {}),
    }

    def signed(body_length):
        return raw.sign(
            "PUT",
            f"/{bucket}/k",
            headers=headers,
            payload=payload,
            unsigned=[("content-length", str(body_length))],
        )

    return signed


def chunk_overhead(pieces):
    return sum(len(f"{len(p):x}") + len(";chunk-signature=") + 64 + 4 for p in [*pieces, b""])


def send_streaming(raw, bucket, pieces, decoded=None, **changes):
    """Sends a PUT in signed chunks and returns the answer."""
    length = sum(map(len, pieces))
    signed = streaming(raw, bucket, length if decoded is None else decoded)(length + chunk_overhead(pieces))
    body = signed_chunks(signed, pieces, **changes)
    with raw.connect() as connection:
        return connection.exchange(signed.head + body, "PUT")


def test_signed_chunks(raw, bucket, s3):
    pieces = [some_bytes(65_536, 1), some_bytes(65_536, 2), b"the rest"]
    assert send_streaming(raw, bucket, pieces).status == 200
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"".join(pieces)
    # AWS does not store `aws-chunked` as the object's Content-Encoding.
    assert "ContentEncoding" not in got or got["ContentEncoding"] == ""


def test_a_wrong_chunk_signature(raw, bucket, s3):
    answer = send_streaming(raw, bucket, [some_bytes(65_536), b"rest"], first="0" * 64)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert missing(s3, bucket)


def test_a_decoded_length_that_is_not_true(raw, bucket, s3):
    for decoded in (9, 11):
        answer = send_streaming(raw, bucket, [b"ten bytes!"], decoded=decoded)
        assert answer.status == 400
        assert missing(s3, bucket)


@pytest.mark.parametrize(
    "body",
    [
        b"xyz\r\nbody\r\n0\r\n\r\n",  # the size is not a number
        b"-4\r\nbody\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\nbody\r\n0\r\n\r\n",
        b"4\r\nbodyXX0\r\n\r\n",  # no line break after the chunk
        b"4\nbody\n0\n\n",
        b"4;" + b"a" * 100_000 + b"\r\nbody\r\n0\r\n\r\n",
        b"5\r\nbody\r\n0\r\n\r\n",
        b"4\r\nbody\r\n",  # no last chunk
        b"4\r\nbody\r\n0\r\nno colon\r\n\r\n",
        b"",
    ],
    ids=range(10),
)
def test_malformed_chunks(raw, bucket, s3, body):
    signed = streaming(raw, bucket, 4, UNSIGNED_TRAILER)(len(body))
    with raw.connect() as connection:
        answer = connection.exchange(signed.head + body, "PUT")
    assert 400 <= answer.status < 500 and answer.code
    assert missing(s3, bucket)


def test_trailing_checksums(raw, bucket, s3):
    # The CRC32 of "123456789" is cbf43926 (catalogue of CRC algorithms).
    for value, status in (("y/Q5Jg==", 200), ("AAAAAA==", 400)):
        body = unsigned_chunks([b"12345", b"6789"], [("x-amz-checksum-crc32", value)])
        signed = streaming(raw, bucket, 9, UNSIGNED_TRAILER, {"x-amz-trailer": "x-amz-checksum-crc32"})(
            len(body)
        )
        s3.delete_object(Bucket=bucket, Key="k")
        with raw.connect() as connection:
            answer = connection.exchange(signed.head + body, "PUT")
        assert answer.status == status, answer
        if status == 200:
            head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
            assert head["ChecksumCRC32"] == value
        else:
            assert answer.code == "BadDigest" and missing(s3, bucket)


def test_transfer_encoding_chunked(raw, bucket, s3):
    """HTTP's own chunked encoding, which a client uses when it does not know the length."""
    body = unsigned_chunks([b"12345", b"6789"])
    signed = raw.sign(
        "PUT",
        f"/{bucket}/k",
        headers={"content-encoding": "aws-chunked", "x-amz-decoded-content-length": "9"},
        payload=UNSIGNED_TRAILER,
        unsigned=[("transfer-encoding", "chunked")],
    )
    framed = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    with raw.connect() as connection:
        assert connection.exchange(signed.head + framed, "PUT").status == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"123456789"


def test_a_length_is_needed(raw, bucket, s3):
    signed = raw.sign("PUT", f"/{bucket}/k", payload=UNSIGNED, unsigned=[("transfer-encoding", "chunked")])
    with raw.connect() as connection:
        answer = connection.exchange(signed.head + b"4\r\nbody\r\n0\r\n\r\n", "PUT")
    assert (answer.status, answer.code) == (411, "MissingContentLength")
    assert missing(s3, bucket)


def test_a_length_and_chunks_at_once_are_refused(raw, bucket, s3):
    # RFC 9112, 6.1: such a message can be an attempt at request smuggling.
    framing = [("content-length", "4"), ("transfer-encoding", "chunked")]
    signed = raw.sign("PUT", f"/{bucket}/k", payload=UNSIGNED, unsigned=framing)
    with raw.connect() as connection:
        answer = connection.exchange(signed.head + b"4\r\nbody\r\n0\r\n\r\n", "PUT")
        assert answer.status in (400, 411)
        assert connection.closed()
    assert missing(s3, bucket)


@pytest.mark.parametrize("lengths", [("4", "5"), ("-1",), ("4x",), ("99999999999999999999999",)], ids=str)
def test_invalid_lengths_are_refused(raw, bucket, s3, lengths):
    unsigned = [("content-length", length) for length in lengths]
    signed = raw.sign("PUT", f"/{bucket}/k", payload=UNSIGNED, unsigned=unsigned)
    with raw.connect() as connection:
        answer = connection.exchange(signed.head + b"body", "PUT")
    assert answer.status == 400
    assert missing(s3, bucket)


def test_an_object_larger_than_aws_allows(raw, bucket, s3):
    # AWS allows 5 GiB in a single PUT.
    length = str(5 * 1024**3 + 1)
    signed = raw.sign("PUT", f"/{bucket}/k", payload=UNSIGNED, unsigned=[("content-length", length)])
    with raw.connect() as connection:
        answer = connection.exchange(signed.head, "PUT")
    assert (answer.status, answer.code) == (400, "EntityTooLarge")


def test_two_hosts_or_none(raw, bucket):
    signed = raw.sign("GET", f"/{bucket}/", unsigned=[("host", "example.com")])
    with raw.connect() as connection:
        assert connection.exchange(signed.head).status == 400
    with raw.connect() as connection:
        assert connection.exchange(f"GET /{bucket}/ HTTP/1.1\r\n\r\n".encode()).status == 400


def test_pipelined_requests_are_answered_in_order(raw, bucket, s3):
    for n in range(5):
        s3.put_object(Bucket=bucket, Key=f"{n}", Body=f"body {n}".encode() * 1_000)
    heads = b"".join(raw.sign("GET", f"/{bucket}/{n}").head for n in range(5))
    with raw.connect() as connection:
        connection.write(heads)
        bodies = [connection.answer().body for _ in range(5)]
    assert bodies == [f"body {n}".encode() * 1_000 for n in range(5)]


def test_a_pipelined_put_is_not_mixed_with_what_follows(raw, bucket, s3):
    first = raw.sign("PUT", f"/{bucket}/1", payload=UNSIGNED, unsigned=[("content-length", "3")])
    second = raw.sign("PUT", f"/{bucket}/2", payload=UNSIGNED, unsigned=[("content-length", "3")])
    get = raw.sign("GET", f"/{bucket}/1")
    with raw.connect() as connection:
        connection.write(first.head + b"one" + second.head + b"two" + get.head)
        assert connection.answer("PUT").status == 200
        assert connection.answer("PUT").status == 200
        assert connection.answer().body == b"one"


def test_a_connection_is_kept_after_an_error(raw, bucket):
    get = raw.sign("GET", f"/{bucket}/missing").head
    with raw.connect() as connection:
        assert [connection.exchange(get).status for _ in range(3)] == [404, 404, 404]


def test_expect_continue_lets_the_body_come(raw, bucket, s3):
    body = some_bytes(MIB)
    unsigned = [("content-length", str(len(body))), ("expect", "100-continue")]
    signed = raw.sign("PUT", f"/{bucket}/k", payload=UNSIGNED, unsigned=unsigned)
    with raw.connect() as connection:
        assert connection.exchange(signed.head).status == 100
        assert connection.exchange(body, "PUT").status == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body


def test_expect_continue_saves_the_body_of_a_request_that_fails(server, bucket):
    wrong = Raw(server.port, secret_key="wrong")
    unsigned = [("content-length", str(100 * MIB)), ("expect", "100-continue")]
    signed = wrong.sign("PUT", f"/{bucket}/k", payload=UNSIGNED, unsigned=unsigned)
    with wrong.connect() as connection:
        answer = connection.exchange(signed.head, "PUT")
        assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


def test_http_2_without_tls(server, bucket, tmp_path):
    curl = tools.need("curl")
    body = some_bytes(20 * MIB)
    (tmp_path / "body").write_bytes(body)
    s3 = server.client(signature_version="s3v4")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "h2"})
    options = [curl, "--silent", "--show-error", "--http2-prior-knowledge", "--write-out", "%{json}"]
    out = subprocess.run(
        [*options, "--upload-file", tmp_path / "body", url], capture_output=True, check=True
    ).stdout
    assert (json.loads(out)["http_version"], json.loads(out)["response_code"]) == ("2", 200)
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "h2"})
    out = subprocess.run(
        [*options, "--output", tmp_path / "back", url], capture_output=True, check=True
    ).stdout
    assert json.loads(out)["http_version"] == "2"
    assert (tmp_path / "back").read_bytes() == body


@pytest.mark.parametrize("minutes", [-16, 16])
def test_clocks_may_differ_by_15_minutes(raw, bucket, minutes):
    date = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)
    answer = raw.send("GET", f"/{bucket}/", date=date)
    assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed")
    date = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes // 2)
    assert raw.send("GET", f"/{bucket}/", date=date).status == 200


@pytest.mark.parametrize(
    ("authorization", "status", "code"),
    [
        ("AWS4-HMAC-SHA256 nonsense", 400, "AuthorizationHeaderMalformed"),
        (
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c",
            400,
            "AuthorizationHeaderMalformed",
        ),
        ("AWS4-HMAC-SHA256", 400, "AuthorizationHeaderMalformed"),
        ("Basic dXNlcjpwYXNz", 400, "InvalidArgument"),
        # Signature Version 2, which AWS no longer accepts in new buckets.
        ("AWS AKIAIOSFODNN7EXAMPLE:c2lnbmF0dXJl", 400, "InvalidRequest"),
    ],
)
def test_invalid_authorization_headers_are_refused(raw, bucket, authorization, status, code):
    head = f"GET /{bucket}/ HTTP/1.1\r\nhost: {raw.host}\r\nauthorization: {authorization}\r\n"
    date = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    head += f"x-amz-date: {date}\r\nx-amz-content-sha256: {UNSIGNED}\r\n\r\n"
    with raw.connect() as connection:
        answer = connection.exchange(head.encode())
    assert (answer.status, answer.code) == (status, code)


def test_headers_that_are_not_signed_but_must_be(raw, bucket, s3):
    # AWS: all x-amz-* headers of a request must be signed.
    unsigned = [("x-amz-meta-smuggled", "yes"), ("content-length", "1")]
    signed = raw.sign("PUT", f"/{bucket}/k", payload=UNSIGNED, unsigned=unsigned)
    with raw.connect() as connection:
        answer = connection.exchange(signed.head + b"x", "PUT")
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert missing(s3, bucket)


def test_a_head_that_is_too_large_is_refused(raw, bucket):
    signed = raw.sign("GET", f"/{bucket}/", unsigned=[(f"x-{n}", "y" * 1_000) for n in range(300)])
    with raw.connect() as connection:
        answer = connection.exchange(signed.head)
    assert answer.status in (400, 431)


def test_bytes_that_are_not_http_are_refused(raw):
    for data in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x00" * 100 + b"\r\n\r\n",
    ):
        with raw.connect() as connection:
            answer = connection.answer_or_close() if not connection.write(data) else None
            assert answer is None or answer.status == 400


# Heads that the HTTP parser refuses, so that no request reaches the gateway. docs/clients.md describes the answers.
NO_REQUESTS = {
    "two lengths": (400, b"content-length: 4\r\ncontent-length: 5\r\n"),
    "a length that is no number": (400, b"content-length: 4x\r\n"),
    "a control character in a value": (400, b"x-amz-meta-a: a\x01b\r\n"),
    "NUL in a value": (400, b"x-amz-meta-a: a\x00b\r\n"),
    "a space in a name": (400, b"x amz-meta-a: b\r\n"),
    "a folded line": (400, b"x-amz-meta-a: a\r\n b\r\n"),
    "an unknown transfer encoding": (400, b"transfer-encoding: gzip\r\n"),
    "a head that is too large": (431, b"".join(b"x-%d: %s\r\n" % (n, b"y" * 8_000) for n in range(60))),
}


@pytest.mark.parametrize(("status", "headers"), NO_REQUESTS.values(), ids=NO_REQUESTS)
def test_what_the_parser_of_http_refuses_has_a_bare_status_and_ends_the_connection(
    raw, bucket, s3, status, headers
):
    head = raw.sign("PUT", f"/{bucket}/k", payload=UNSIGNED).head.removesuffix(b"\r\n")
    with raw.connect() as connection:
        answer = connection.exchange(head + headers + b"\r\n", "PUT")
        assert (answer.status, answer.body) == (status, b"")
        assert answer.headers["connection"] == "close" and answer.headers["content-length"] == "0"
        # The gateway saw no request, so the answer has no request id.
        assert "x-amz-request-id" not in answer.headers and "content-type" not in answer.headers
        assert connection.closed()
    assert missing(s3, bucket)


def test_a_host_that_is_no_text_is_refused(raw, bucket):
    with raw.connect() as connection:
        answer = connection.exchange(f"GET /{bucket}/ HTTP/1.1\r\nhost: bücket\r\n\r\n".encode())
        assert (answer.status, answer.code) == (400, "InvalidArgument")


@pytest.mark.parametrize("path", ["/%ff%fe/k", "/{bucket}/%ff", "/{bucket}/%zz", "/{bucket}/%"])
def test_paths_that_are_not_utf_8(raw, bucket, path):
    answer = raw.send("GET", path.format(bucket=bucket))
    assert 400 <= answer.status < 500 and answer.code


def test_a_key_with_nul_is_stored_as_it_is_or_refused(raw, bucket):
    put = raw.send("PUT", f"/{bucket}/a%00b", body=b"x")
    if put.status == 200:
        assert raw.send("GET", f"/{bucket}/a%00b").body == b"x"
        assert raw.send("GET", f"/{bucket}/a").status == 404
    else:
        assert (put.status, bool(put.code)) == (400, True)


def test_methods_that_s3_does_not_have(raw, bucket):
    for method in ("PATCH", "TRACE", "BREW"):
        answer = raw.send(method, f"/{bucket}/k")
        assert answer.status in (400, 405, 501)
    answer = raw.send("POST", f"/{bucket}/k")
    assert (answer.status, answer.code) == (405, "MethodNotAllowed")


def test_query_parameters_of_the_client_s_own_are_ignored(raw, bucket, s3):
    # AWS, "Amazon S3 server access log format": custom parameters begin with `x-` and are ignored.
    s3.put_object(Bucket=bucket, Key="k", Body=b"body")
    answer = raw.send("GET", f"/{bucket}/k", query="x-user=me&x-id=GetObject")
    assert (answer.status, answer.body) == (200, b"body")


def test_unknown_query_parameters_of_reads_are_ignored(raw, bucket, s3):
    s3.put_object(Bucket=bucket, Key="k", Body=b"body")
    answer = raw.send("GET", f"/{bucket}/k", query="nobody=knows")
    assert (answer.status, answer.body) == (200, b"body")


@pytest.mark.parametrize("query", ["torrent", "annotation", "select&select-type=2"])
def test_subresources_that_are_not_built_are_not_implemented(raw, bucket, s3, query):
    s3.put_object(Bucket=bucket, Key="k", Body=b"body")
    method = "POST" if query.startswith("select") else "PUT"
    answer = raw.send(method, f"/{bucket}/k", query=query, body=b"<x/>")
    assert (answer.status, answer.code) == (501, "NotImplemented")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"body"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-website-redirect-location", "/elsewhere"),
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-object-lock-legal-hold", "ON"),
        ("x-amz-acl", "public-read"),
        ("x-amz-grant-read", 'id="someone"'),
        ("x-amz-write-offset-bytes", "3"),
    ],
)
def test_headers_that_change_meaning_are_not_ignored(raw, bucket, s3, header, value):
    answer = raw.send("PUT", f"/{bucket}/k", headers={header: value}, body=b"x")
    assert 400 <= answer.status <= 501 and answer.code
    assert missing(s3, bucket)


def test_an_error_is_a_document(raw, bucket):
    answer = raw.send("GET", f"/{bucket}/missing")
    assert answer.headers["content-type"] == "application/xml"
    text = answer.body.decode()
    assert text.startswith("<?xml")
    for element in ("<Code>NoSuchKey</Code>", "<Message>", "<Key>missing</Key>", "<RequestId>"):
        assert element in text
    assert f"<RequestId>{answer.headers['x-amz-request-id']}</RequestId>" in text
