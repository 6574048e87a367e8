"""Clients that send wrong lengths, stall, disconnect or attack: they get errors, and other clients are served as before."""

import base64
import hashlib
import socket
import struct
import threading
import time

import pytest
from data import MIB, some_bytes
from errors import s3_error
from harness import wait_until
from raw import UNSIGNED, Raw


@pytest.fixture
def raw(server):
    return Raw(server.port)


def put_head(raw, bucket, length, key="k"):
    return raw.sign(
        "PUT", f"/{bucket}/{key}", payload=UNSIGNED, unsigned=[("content-length", str(length))]
    ).head


def missing(s3, bucket, key="k"):
    with s3_error("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key=key)
    return True


def test_a_body_shorter_than_promised(raw, bucket, s3):
    with raw.connect() as connection:
        connection.write(put_head(raw, bucket, 100) + b"only some bytes")
        connection.socket.shutdown(socket.SHUT_WR)
        answer = connection.answer_or_close("PUT")
    assert answer is None or (answer.status, answer.code) == (400, "IncompleteBody")
    assert missing(s3, bucket)


def test_a_body_longer_than_promised(raw, bucket, s3):
    with raw.connect() as connection:
        answer = connection.exchange(
            put_head(raw, bucket, 4) + b"body and more that is no request\r\n\r\n", "PUT"
        )
        assert answer.status == 200
        # The bytes after the body are parsed as the next request, which is invalid.
        answer = connection.answer_or_close()
        assert answer is None or answer.status == 400
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"body"


@pytest.mark.parametrize("sent", [1, 100_000, 9 * MIB, 30 * MIB])
def test_a_client_that_hangs_up_leaves_nothing(raw, bucket, s3, sent):
    with raw.connect() as connection:
        connection.write(put_head(raw, bucket, 40 * MIB) + some_bytes(sent))
        # With SO_LINGER 0, `close` sends a reset instead of an orderly end.
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert missing(s3, bucket)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_aborted_uploads_do_not_use_up_the_memory(start):
    cluster = start("cluster", datanodes=1, replication=1)
    s3 = cluster.client()
    s3.create_bucket(Bucket="bucket")
    raw = Raw(cluster.port)
    piece = some_bytes(20 * MIB)
    # 800 MiB in total: far more than the gateway's limit for buffers.
    for _ in range(40):
        with raw.connect() as connection:
            connection.write(put_head(raw, "bucket", 40 * MIB) + piece)
    s3.put_object(Bucket="bucket", Key="after", Body=piece)
    assert s3.get_object(Bucket="bucket", Key="after")["Body"].read() == piece
    assert cluster.gateways[0].memory_peak_mib() < 512
    cluster.check()


def test_a_client_that_hangs_up_in_the_middle_of_a_download(raw, bucket, s3):
    body = some_bytes(40 * MIB)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    for _ in range(20):
        with raw.connect() as connection:
            connection.write(raw.sign("GET", f"/{bucket}/k").head)
            connection.socket.recv(100_000)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body


def test_readers_of_a_byte_a_second_delay_no_other_client(start):
    cluster = start("cluster", datanodes=1, replication=1)
    s3 = cluster.client()
    s3.create_bucket(Bucket="bucket")
    body = some_bytes(64 * MIB)
    s3.put_object(Bucket="bucket", Key="k", Body=body)
    raw = Raw(cluster.port)
    ended = threading.Event()
    reading = []

    def read_slowly():
        with raw.connect() as connection:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.write(raw.sign("GET", "/bucket/k").head)
            reading.append(connection.socket.recv(1))
            while not ended.wait(1):
                connection.socket.recv(1)

    threads = [threading.Thread(target=read_slowly) for _ in range(32)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(reading) == 32, "all readers to read")
        for n in range(3):
            assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == body
            s3.put_object(Bucket="bucket", Key=f"{n}", Body=body)
        # The gateway must not hold a whole object for each of the 32 readers.
        assert cluster.gateways[0].memory_peak_mib() < 512
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_writers_of_a_byte_at_a_time_delay_no_other_client(raw, bucket, s3):
    connections = []
    try:
        for n in range(32):
            connection = socket.create_connection(("127.0.0.1", raw.port), 30)
            connection.sendall(put_head(raw, bucket, 40 * MIB, f"slow{n}") + b"x")
            connections.append(connection)
        body = some_bytes(20 * MIB)
        s3.put_object(Bucket=bucket, Key="k", Body=body)
        for connection in connections:
            connection.sendall(b"x")
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    finally:
        for connection in connections:
            connection.close()
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


def test_idle_connections_delay_no_other_client(raw, bucket, s3):
    idle = [socket.create_connection(("127.0.0.1", raw.port), 30) for _ in range(200)]
    try:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    finally:
        for connection in idle:
            connection.close()


LAUGHS = b"".join(
    b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10 if n else b"lol" * 10) for n in range(10)
)
BOMBS = {
    "entities": b'<?xml version="1.0"?><!DOCTYPE lolz ['
    + LAUGHS
    + b"]><Delete><Object><Key>&l9;</Key></Object></Delete>",
    "external": b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b"<Delete><Object><Key>&x;</Key></Object></Delete>",
    "depth": b"<Delete>" * 100_000,
    "unclosed": b"<Delete><Object><Key>k</Key></Object>",
    "not xml": b"\x00\xff\xfe nothing",
    "empty": b"",
    "other root": b"<Other><Object><Key>k</Key></Object></Other>",
    "attributes": b"<Delete " + b'a="b" ' * 100_000 + b"></Delete>",
    "trailing": b"<Delete><Object><Key>k</Key></Object></Delete><Delete/>",
}


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_malformed_and_malicious_xml_is_refused(raw, bucket, s3, name):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    began = time.monotonic()
    for method, path, query in (
        ("POST", f"/{bucket}", "delete="),
        ("POST", f"/{bucket}/m", f"uploadId={upload}"),
    ):
        # AWS: DeleteObjects requires a digest of its body.
        md5 = base64.b64encode(hashlib.md5(BOMBS[name]).digest()).decode()
        answer = raw.send(method, path, query=query, headers={"content-md5": md5}, body=BOMBS[name])
        assert 400 <= answer.status < 500, answer
        assert answer.code in ("MalformedXML", "MissingRequestBodyError", "MaxMessageLengthExceeded"), answer
        assert b"root:" not in answer.body
    assert time.monotonic() - began < 10
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_an_endless_document_is_refused(raw, bucket, s3):
    # AWS allows 1,000 keys of 1,024 bytes, which never need hundreds of megabytes.
    head = raw.sign(
        "POST", f"/{bucket}", query="delete=", payload=UNSIGNED, unsigned=[("content-length", str(500 * MIB))]
    ).head
    with raw.connect() as connection:
        answer = None
        try:
            connection.write(head + b"<Delete>")
            for _ in range(100):
                connection.write(b"<Object><Key>k</Key></Object>" * 10_000)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = connection.answer_or_close()
    assert answer is None or 400 <= answer.status < 500
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
