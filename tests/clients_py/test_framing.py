"""Messages that two readers could end at different places (request smuggling), on every port.

hyper, which the listeners use, accepts some of them: it drops `Content-Length` beside `Transfer-Encoding`, keeps one of
two equal lengths, and reads `gzip, chunked` as `chunked`. A proxy in front of Cairn may read them differently. Bytes that
the proxy forwards as a body would then be executed as a request. RFC 9112, sections 2.2, 5, 6.1, 6.3, 7.1 and 11.2.
"""

import contextlib
import re

import pytest
from errors import s3_error
from harness import wait_until
from raw import UNSIGNED, UNSIGNED_TRAILER, Raw, unsigned_chunks

# The framing lines of a head, and the bytes after the head.
CHUNKED = b"4\r\nbody\r\n0\r\n\r\n"
SHAPES = {
    "CL and TE": (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", CHUNKED),
    "TE and CL": (b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", CHUNKED),
    "TE and CL far apart": (b"Transfer-Encoding: chunked\r\nX-A: b\r\nContent-Length: 0\r\n", CHUNKED),
    "two equal lengths": (b"Content-Length: 4\r\nContent-Length: 4\r\n", b"body"),
    "two lengths": (b"Content-Length: 4\r\nContent-Length: 5\r\n", b"body"),
    "a list of lengths": (b"Content-Length: 4, 4\r\n", b"body"),
    "a length with a sign": (b"Content-Length: +4\r\n", b"body"),
    "a length with a space": (b"Content-Length: 0 4\r\n", b"body"),
    "a length in hex": (b"Content-Length: 0x4\r\n", b"body"),
    "an empty length": (b"Content-Length:\r\n", b"body"),
    "a length with NUL": (b"Content-Length: 4\x00\r\n", b"body"),
    "space before the colon of CL": (b"Content-Length : 4\r\n", b"body"),
    "space before the colon of TE": (b"Content-Length: 4\r\nTransfer-Encoding : chunked\r\n", CHUNKED),
    "a folded TE": (b"Content-Length: 4\r\nTransfer-Encoding:\r\n chunked\r\n", CHUNKED),
    "a folded length": (b"Content-Length:\r\n 4\r\n", b"body"),
    "a header that begins with a space": (b" Content-Length: 4\r\n", b"body"),
    "chunked, identity": (b"Transfer-Encoding: chunked, identity\r\n", CHUNKED),
    "identity, chunked": (b"Transfer-Encoding: identity, chunked\r\n", CHUNKED),
    "gzip, chunked": (b"Transfer-Encoding: gzip, chunked\r\n", CHUNKED),
    "chunked twice": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", CHUNKED),
    "chunked and identity apart": (b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", CHUNKED),
    "xchunked": (b"Transfer-Encoding: xchunked\r\n", CHUNKED),
    "chunked with VT": (b"Transfer-Encoding:\x0bchunked\r\n", CHUNKED),
    "quoted": (b'Transfer-Encoding: "chunked"\r\n', CHUNKED),
    "an empty TE": (b"Transfer-Encoding:\r\nContent-Length: 4\r\n", b"body"),
    "LF behind CL": (b"Content-Length: 4\nX-A: b\r\n", b"body"),
    "LF hides CL": (b"X-A: b\nContent-Length: 4\r\n", b"body"),
    "CR hides CL": (b"X-A: b\rContent-Length: 4\r\n", b"body"),
    "NUL in a header": (b"X-A: a\x00b\r\nContent-Length: 4\r\n", b"body"),
    "NUL in a name": (b"X\x00A: b\r\nContent-Length: 4\r\n", b"body"),
    "a chunk ends with LF": (b"Transfer-Encoding: chunked\r\n", b"4\nbody\r\n0\r\n\r\n"),
    "LF in an extension": (b"Transfer-Encoding: chunked\r\n", b"4;a\nbody\r\n0\r\n\r\n"),
    "CR in an extension": (b"Transfer-Encoding: chunked\r\n", b"4;a\rb\r\nbody\r\n0\r\n\r\n"),
    "a chunk with a sign": (b"Transfer-Encoding: chunked\r\n", b"+4\r\nbody\r\n0\r\n\r\n"),
    "a chunk in 0x": (b"Transfer-Encoding: chunked\r\n", b"0x4\r\nbody\r\n0\r\n\r\n"),
    "a chunk of 2^68": (b"Transfer-Encoding: chunked\r\n", b"100000000000000004\r\nbody\r\n0\r\n\r\n"),
    "a chunk longer than it says": (b"Transfer-Encoding: chunked\r\n", b"3\r\nbody\r\n0\r\n\r\n"),
    "LF between trailers": (b"Transfer-Encoding: chunked\r\n", b"4\r\nbody\r\n0\r\nA: b\n\r\n\r\n"),
}


@pytest.fixture
def raw(server):
    return Raw(server.port)


def read_to_end(connection):
    received = connection.rest
    with contextlib.suppress(ConnectionResetError):
        while data := connection.socket.recv(65_536):
            received += data
    return received


def converse(raw, data):
    with raw.connect() as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.write(data)
        # The server closes the connection after a message with ambiguous framing, so this read ends.
        answers = read_to_end(connection)
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answers)]


def signed(raw, method, path, payload=UNSIGNED, headers=None):
    return raw.sign(method, path, payload=payload, headers=headers).head


def put(raw, path, lines, body, version=b"1.1"):
    """A signed PUT, which would be executed if the server accepted its framing."""
    if b"hunked" in lines:
        # A PUT without Content-Length must be aws-chunked, so the HTTP chunk carries aws-chunked bytes.
        body_of_aws = unsigned_chunks([b"body"])
        body = body.replace(b"4\r\nbody", b"%x\r\n%s" % (len(body_of_aws), body_of_aws))
        headers = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": "4"}
        head = signed(raw, "PUT", path, UNSIGNED_TRAILER, headers)
    else:
        head = signed(raw, "PUT", path)
    head = head.replace(b" HTTP/1.1\r\n", b" HTTP/%s\r\n" % version, 1)
    return head[:-2] + lines + b"\r\n" + body


def missing(s3, bucket, key):
    with s3_error("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key=key)


@pytest.mark.parametrize("shape", SHAPES)
def test_ambiguous_framing_is_refused_and_no_later_bytes_are_executed(raw, bucket, s3, shape):
    smuggled = put(raw, f"/{bucket}/smuggled", b"Content-Length: 8\r\n", b"smuggled")
    answers = converse(raw, put(raw, f"/{bucket}/k", *SHAPES[shape]) + smuggled)
    # There is one answer, or none if the body is incomplete.
    assert len(answers) <= 1 and all(400 <= status < 500 for status in answers), answers
    missing(s3, bucket, "k")
    missing(s3, bucket, "smuggled")


def test_chunks_in_http_1_0_are_refused(raw, bucket, s3):
    smuggled = put(raw, f"/{bucket}/smuggled", b"Content-Length: 8\r\n", b"smuggled")
    answers = converse(raw, put(raw, f"/{bucket}/k", *SHAPES["gzip, chunked"], version=b"1.0") + smuggled)
    assert answers in ([], [400])
    answers = converse(raw, put(raw, f"/{bucket}/k", b"Transfer-Encoding: chunked\r\n", CHUNKED, b"1.0") + smuggled)
    assert answers in ([], [400])
    missing(s3, bucket, "k")
    missing(s3, bucket, "smuggled")


def test_clear_messages_before_an_ambiguous_one_are_answered(raw, bucket, s3):
    good = [
        put(raw, f"/{bucket}/1", b"content-length: 3\r\n", b"one"),
        put(raw, f"/{bucket}/2", b"TRANSFER-ENCODING:\tChunked \r\n", b"4\r\nbody\r\n0\r\nX-T: v\r\n\r\n"),
        signed(raw, "GET", f"/{bucket}/1"),
    ]
    lines, body = SHAPES["CL and TE"]
    answers = converse(raw, b"\r\n".join(good) + put(raw, f"/{bucket}/k", lines, body) + good[2])
    assert answers == [200, 200, 200, 400]
    assert s3.get_object(Bucket=bucket, Key="1")["Body"].read() == b"one"
    assert s3.get_object(Bucket=bucket, Key="2")["Body"].read() == b"body"
    missing(s3, bucket, "k")


def test_ambiguous_framing_is_refused_when_bytes_arrive_one_by_one(raw, bucket, s3):
    for shape in ("CL and TE", "two equal lengths", "gzip, chunked", "LF hides CL"):
        data = put(raw, f"/{bucket}/k", *SHAPES[shape])
        with raw.connect() as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for at in range(len(data)):
                    connection.write(data[at : at + 1])
            assert read_to_end(connection).startswith(b"HTTP/1.1 400 ")
        missing(s3, bucket, "k")


def test_internal_ports_refuse_ambiguous_framing_too(start):
    cluster = start("cluster", datanodes=1, replication=1)
    wait_until(lambda: len(cluster.status()["nodes"]) == 1, "the datanode to register")
    for part in (cluster.metanode, cluster.datanodes[0], cluster.gateways[0]):
        raw = Raw(part.port)
        for shape, (lines, body) in SHAPES.items():
            first = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
            head = b"POST /v1/cluster/heartbeat HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n"
            answers = converse(raw, first + head + body + first)
            # The last request must not be answered: an internal port would answer it with 200.
            assert len(answers) <= 2 and all(status >= 400 for status in answers[1:]), (part.name, shape, answers)
    cluster.check()
