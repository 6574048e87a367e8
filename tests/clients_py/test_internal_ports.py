"""Garbage, incomplete requests and wrong versions on the internal ports.

The part must answer each with a typed error or close the connection. It stores nothing, serves other clients meanwhile,
and logs no `fault=self`.
"""

import concurrent.futures
import json
import random
import uuid

import pytest
from data import MIB, some_bytes
from harness import wait_until
from internal import Port, Secret, code, read_to_end



@pytest.fixture
def cluster(start):
    cluster = start("cluster", datanodes=1, replication=1)
    wait_until(lambda: len(cluster.status()["nodes"]) == 1, "the datanode to register")
    cluster.client().create_bucket(Bucket="bucket")
    return cluster


@pytest.fixture
def signer(cluster):
    return Secret(cluster.secret["CAIRN_CLUSTER_SECRET"])


@pytest.fixture
def ports(cluster):
    return [Port(cluster.metanode), Port(cluster.datanodes[0])]


@pytest.fixture(autouse=True)
def all_is_well(cluster):
    """Asserts after each test that clients are served, that nothing else is stored, and that no part logged `fault=self`."""
    yield
    body = some_bytes(2 * MIB)
    client = cluster.client()
    client.put_object(Bucket="bucket", Key="after", Body=body)
    assert client.get_object(Bucket="bucket", Key="after")["Body"].read() == body
    # The only block is the object's: 2 MiB, which is large enough for a dedicated segment.
    wait_until(lambda: stored_files(cluster) == 1, "nothing but the object to be stored")
    assert all(process.running() for process in cluster.processes)
    cluster.check()


def stored_files(cluster):
    return len(list(cluster.data_directory("datanode0").glob("own/*/*")))


GARBAGE = {
    "random bytes": random.Random(1).randbytes(10_000),
    "a TLS hello": bytes.fromhex("1603010200010001fc0303") + bytes(500),
    "nothing but newlines": b"\r\n" * 5_000,
    "HTTP/2 and nonsense": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + random.Random(2).randbytes(5_000),
    "no version": b"GET /\r\n\r\n",
    "a huge head": b"POST /v1/cluster/heartbeat HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 1_000_000,
    "many headers": b"GET /health HTTP/1.1\r\n" + b"X-A: b\r\n" * 20_000 + b"\r\n",
    "a huge path": b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n\r\n",
    "two lengths": b"POST /v1/cluster/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length that is none": b"POST /v1/cluster/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "broken chunks": b"POST /v1/cluster/heartbeat HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n",
    "half a head": b"POST /v1/cluster/heart",
    "half a body": b"POST /v1/cluster/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_is_answered_with_an_error_or_hung_up_on(ports, what):
    for port in ports:
        answer = port.raw(GARBAGE[what])
        if answer.startswith(b"HTTP/1"):
            assert int(answer.split(b" ")[1]) >= 400, answer[:200]


def test_connections_that_fall_silent_are_closed_and_delay_no_other_client(cluster, signer, ports):
    node = cluster.status()["nodes"][0]["node"]
    block = str(uuid.uuid4())
    token = signer.block("put", block, node)
    epoch = ports[0].epoch(signer)
    rpc = signer.request("POST", "/v1/cluster/heartbeat", bytes(1000), epoch=epoch)
    silent = {
        "nothing at all": b"",
        "half a head": b"POST /v1/cluster/heartbeat HTTP/1.1\r\nHost: x\r\n",
        "half a call": b"POST /v1/cluster/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
        b"Authorization: " + rpc.encode() + b"\r\n\r\n{",
        "half a block": f"PUT /v1/blocks/{block} HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n"
        f"x-cairn-crc32c: 00000000\r\nAuthorization: {token}\r\n\r\n".encode() + bytes(1_500_000),
    }

    def fall_silent(port, data):
        with port.connect() as connection:
            connection.sendall(data)
            answer = read_to_end(connection)
        return not answer or int(answer.split(b" ")[1]) >= 400

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        all_silent = [pool.submit(fall_silent, port, data) for port in ports for data in silent.values()]
        # Other clients are served meanwhile.
        client = cluster.client(read_timeout=60)
        while not all(each.done() for each in all_silent):
            client.put_object(Bucket="bucket", Key="small", Body=b"small")
            assert client.get_object(Bucket="bucket", Key="small")["Body"].read() == b"small"
        assert all(each.result() for each in all_silent)


def test_an_unknown_protocol_version_is_refused_with_the_supported_one(ports, signer):
    metanode, datanode = ports
    block = str(uuid.uuid4())
    for port, method, path in (
        (metanode, "POST", "/v2/cluster/heartbeat"),
        (metanode, "POST", "/v0/metadata/lookup"),
        (datanode, "PUT", f"/v2/blocks/{block}"),
        (datanode, "GET", f"/v17/blocks/{block}"),
    ):
        body = b"{}" if method != "GET" else b""
        answer = port.ask(method, path, body, Authorization=signer.request(method, path, body))
        assert (answer[0], code(answer)) == (404, "Malformed"), path
        version = path.split("/")[1][1:]
        assert f"version 1 of the protocol, not version {version}" in json.loads(answer[1])["message"]


def test_unknown_paths_and_methods_are_answered_with_a_typed_error(ports, signer):
    metanode, datanode = ports
    for port in ports:
        assert code(port.ask("GET", "/nothing/here")) == "Malformed"
        assert code(port.ask("POST", "/v1/nothing/here", b"{}")) == "Malformed"
        assert code(port.ask("DELETE", "/health")) == "Malformed"
        assert code(port.ask("GET", "/events")) == "Unauthorized"
    assert code(metanode.ask("GET", "/v1/cluster/heartbeat")) == "Malformed"
    assert code(datanode.ask("POST", f"/v1/blocks/{uuid.uuid4()}", b"{}")) == "Malformed"


def test_malformed_and_wrongly_signed_calls_are_refused(ports, signer):
    metanode = ports[0]
    path = "/v1/cluster/heartbeat"

    epoch = metanode.epoch(signer)

    def call(sent, **signed):
        signed = {"method": "POST", "path": path, "body": sent, "epoch": epoch} | signed
        return code(metanode.ask("POST", path, sent, Authorization=signer.request(**signed)))

    # Correctly signed bodies that are not a heartbeat.
    deep = b"[" * 100_000 + b"]" * 100_000
    for body in (b"{}", b"[]", b"null", b'{"node": 5}', b"{", b"\xff\xfe", b"", deep):
        assert call(body) == "Malformed", body[:20]
    # Tokens that were signed for another body, path, method or time.
    assert call(b"{}", body=b"[]") == "Unauthorized"
    assert call(b"{}", path="/v1/cluster/register") == "Unauthorized"
    assert call(b"{}", method="GET") == "Unauthorized"
    assert call(b"{}", at=1) == "Unauthorized"
    other = Secret("another secret that is long enough")
    for authorization in ("", "Cairn", "Cairn a.b.c", "Bearer x", other.request("POST", path, b"{}"), "\xff"):
        assert code(metanode.ask("POST", path, b"{}", Authorization=authorization)) == "Unauthorized"
    # The length is above every limit, but the signature is checked first.
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 50}\r\n"
    assert b"Unauthorized" in metanode.raw(head.encode() + b"\r\n{")


def test_blocks_are_served_only_with_the_right_token(cluster, ports, signer):
    datanode = ports[1]
    node = cluster.status()["nodes"][0]["node"]
    block = str(uuid.uuid4())
    path = f"/v1/blocks/{block}"
    right = signer.block("put", block, node)
    wrong = [
        "",
        "Bearer",
        "Bearer a.b.c",
        signer.block("get", block, node),
        signer.block("put", str(uuid.uuid4()), node),
        signer.block("put", block, str(uuid.uuid4())),
        signer.block("put", block, node, expires=1),
        Secret("another secret that is long enough").block("put", block, node),
        right[:-1] + ("0" if right[-1] != "0" else "1"),
    ]
    for token in wrong:
        # The token is checked first, so that a caller without one learns nothing else about the request.
        assert code(datanode.ask("PUT", path, b"x", Authorization=token)) == "Unauthorized", token
        assert code(datanode.ask("DELETE", path, Authorization=token)) == "Unauthorized", token
    assert code(datanode.ask("PUT", "/v1/blocks/none", b"x", Authorization=right)) == "Unauthorized"
    # With the right token, the error names what is wrong.
    for headers in (
        {},
        {"x-cairn-crc32c": "nonsense"},
        {"x-cairn-crc32c": "00000000", "x-cairn-pipeline": "nonsense"},
        {"x-cairn-crc32c": "00000000", "x-cairn-pipeline": "[" * 10_000},
    ):
        answer = datanode.ask("PUT", path, b"x", Authorization=right, **headers)
        assert (answer[0], code(answer)) == (400, "Malformed"), headers
    answer = datanode.ask("PUT", path, b"x", Authorization=right, x_cairn_crc32c="00000000")
    assert code(answer) == "ChecksumMismatch"
    get = signer.block("get", block, node)
    assert code(datanode.ask("GET", path, Authorization=get)) == "NotFound"
    for range in ("bytes=5-4", "bytes=-1", "chapters=1-2", "\xff"):
        assert code(datanode.ask("GET", path, Authorization=get, Range=range)) == "Malformed"
    status, _, headers = datanode.ask("HEAD", path, Authorization=get)
    assert (status, json.loads(headers["x-cairn-error"])["code"]) == (404, "NotFound")
    # The length is above the upper limit for a block.
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 50}\r\nx-cairn-crc32c: 00000000\r\n"
    answer = datanode.raw(f"{head}Authorization: {right}\r\n\r\n".encode() + bytes(1000))
    assert b"Malformed" in answer, answer
