"""Attacks on the internal ports, by an attacker that does not know the cluster's secret or has recorded traffic."""

import concurrent.futures
import contextlib
import re
import socket

import botocore.exceptions
import pytest
from harness import wait_until
from internal import Port, Secret, Tap, code, read_to_end

MIB = 1 << 20

# The limit for the growth of a part's peak memory by unauthenticated requests, in MiB, with the allocator's noise.
FLAT_MIB = 40


@pytest.fixture
def cluster(start):
    cluster = start("cluster", datanodes=1, replication=1)
    wait_until(lambda: len(cluster.status()["nodes"]) == 1, "the datanode to register")
    yield cluster
    # After the refused requests, the cluster serves clients as before.
    cluster.client().create_bucket(Bucket="after")
    cluster.check()


@pytest.fixture
def signer(cluster):
    return Secret(cluster.secret["CAIRN_CLUSTER_SECRET"])


def head(path, length, authorization):
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nAuthorization: {authorization}\r\n\r\n".encode()


def forged(signer, path, length, **options):
    """A request token in which everything except the signature is right."""
    token = signer.request("POST", path, length=length, **options)
    return token[:-64] + "0" * 64


def test_no_answer_contains_the_key_id(cluster, signer):
    """The answer to a request with a wrong key id contained the right one. With the right key id, an attacker without the secret
    could make the part buffer a body before it checked the signature."""
    other = Secret("another secret that is long enough")
    for part in (cluster.metanode, cluster.datanodes[0]):
        port = Port(part)
        for method, path, authorization in (
            ("GET", "/events", other.request("GET", "/events")),
            ("POST", "/v1/cluster/heartbeat", other.request("POST", "/v1/cluster/heartbeat")),
            ("POST", "/v1/cluster/heartbeat", "Cairn 00000000.1.1"),
            ("GET", "/v1/blocks/0197f3c0-0000-7000-8000-000000000000", other.block("get", "x", "y")),
        ):
            status, body, headers = port.ask(method, path, Authorization=authorization)
            assert status in (403, 404, 405)
            assert signer.key_id not in f"{body} {headers}", (path, body)


def test_a_body_is_not_read_before_its_call_is_known_to_be_authentic(cluster, signer):
    """A part buffered up to 64 MiB of body for any request with the right key id, and checked the signature only then. An
    attacker could exhaust the part's memory without knowing the secret."""
    metanode = Port(cluster.metanode)
    before = cluster.metanode.memory_peak_mib()
    # Two operations of one service, and one of another service.
    paths = ["/v1/cluster/heartbeat", "/v1/cluster/report_blocks", "/v1/metadata/create_bucket"]

    def refused_by_its_head(path, authorization):
        with metanode.connect() as connection:
            connection.sendall(head(path, 64 * MIB, authorization))
            # No byte of the body was sent: a part that waited for the body would never answer.
            return connection.recv(65_536)

    def sent_all_the_same(path, authorization):
        with metanode.connect() as connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(head(path, 64 * MIB, authorization))
            for _ in range(64):
                connection.sendall(bytes(MIB))

    epoch = metanode.epoch(signer)
    for path in paths:
        for authorization in ("", forged(signer, path, 64 * MIB), forged(signer, path, 64 * MIB, epoch=epoch)):
            assert b"Unauthorized" in refused_by_its_head(path, authorization), path
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: sent_all_the_same(paths[n % 3], forged(signer, paths[n % 3], 64 * MIB)), range(8)))
    assert cluster.metanode.memory_peak_mib() - before < FLAT_MIB


def test_a_body_that_is_not_the_signed_one_does_nothing(cluster, signer):
    metanode = Port(cluster.metanode)
    epoch = metanode.epoch(signer)
    path = "/v1/metadata/create_bucket"
    wanted = b'{"bucket":"forged","region":"us-east-1"}'

    def send(sent, signed=wanted, framing=None, **options):
        authorization = signer.request("POST", path, signed, epoch=epoch, **options)
        framing = framing or f"Content-Length: {len(sent)}"
        request = f"POST {path} HTTP/1.1\r\nHost: x\r\n{framing}\r\nAuthorization: {authorization}\r\n\r\n"
        return metanode.send(request.encode() + sent)

    chunked = "Transfer-Encoding: chunked"
    other = wanted.replace(b"forged", b"gedorf")
    for answer in (
        # Bodies of the right length, longer, shorter, chunked, and with a length that was not signed.
        send(other),
        send(wanted + b" "),
        send(wanted[:-1]),
        send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(other), other), framing=chunked),
        send(b"%x\r\n%s \r\n0\r\n\r\n" % (len(wanted) + 1, wanted), framing=chunked),
        send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(wanted) - 1, wanted[:-1]), framing=chunked),
        send(wanted, length=len(wanted) + 1),
    ):
        assert (answer[0], code(answer)) == (403, "Unauthorized"), answer
    assert "forged" not in names(cluster) and "gedorf" not in names(cluster)
    assert send(wanted)[0] == 200
    assert "forged" in names(cluster)


def names(cluster):
    return [bucket["Name"] for bucket in cluster.client().list_buckets()["Buckets"]]


def test_unauthenticated_connections_cost_a_part_little_memory(cluster):
    """600 connections to each part, with unfinished heads or HTTP/2 prefaces, must not make it buffer much."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
    unfinished = b"POST /v1/cluster/heartbeat HTTP/1.1\r\nHost: x\r\nX-Padding: " + b"x" * 60_000
    parts = [cluster.metanode, cluster.datanodes[0]]
    before = [part.memory_peak_mib() for part in parts]
    with contextlib.ExitStack() as held:
        for part in parts:
            for n in range(600):
                connection = held.enter_context(socket.create_connection(("127.0.0.1", part.port), 60))
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(unfinished if n % 2 else preface)
        # The part has accepted the connections before this request, which it answers.
        assert all(Port(part).ask("GET", "/health")[0] == 200 for part in parts)
        for part, memory in zip(parts, before, strict=True):
            assert part.memory_peak_mib() - memory < FLAT_MIB, part.name


def test_a_recorded_call_cannot_be_replayed(start):
    """Anyone who recorded a call could send it again for five minutes, to any part of the cluster, and it was executed again."""
    cluster = start("cluster", datanodes=1, replication=1, gateways=0)
    tap = Tap(cluster.metanode.port)
    args = ["gateway", "--listen", "127.0.0.1:0", "--metanode", f"http://127.0.0.1:{tap.port}"]
    cluster.gateways.append(cluster.run("gateway", args, cluster.env))
    client, metanode = cluster.client(), Port(cluster.metanode)
    client.create_bucket(Bucket="once")
    overheard = tap.calls("/v1/metadata/create_bucket")[-1]
    client.delete_bucket(Bucket="once")

    def replayed():
        answer = metanode.send(overheard)
        assert (answer[0], code(answer)) == (403, "Unauthorized"), answer
        assert names(cluster) == []

    replayed()
    # The replayed call is refused after a restart, too.
    cluster.metanode.kill()
    cluster.metanode.restart()
    wait_until(lambda: client.list_buckets() is not None, "the gateway to go on")
    replayed()
    # Answers cannot be replayed either, because each is signed.
    assert all(b"x-cairn-signature" in bytes(piece) for piece in tap.answered if piece)
    tap.close()


def test_an_unsigned_answer_is_refused(start):
    """Answers were not signed. A process that took the metanode's port while the metanode was down could send gateways its own
    root credentials."""
    cluster = start("cluster", datanodes=1, replication=1)
    port = cluster.metanode.port
    cluster.metanode.kill()
    body = b'{"access_key":"MALLORY","secret_key":"mallory-s-secret-key"}'
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    with socket.create_server(("127.0.0.1", port), reuse_port=False) as impostor:
        args = ["gateway", "--listen", "127.0.0.1:0", "--metanode", f"http://127.0.0.1:{port}"]
        process = cluster.start_only("gateway-of-mallory", args, cluster.env)
        # The gateway and the datanode of the cluster connect to this port, too.
        impostor.settimeout(60)

        def warned():
            caller, _ = impostor.accept()
            with caller, contextlib.suppress(OSError):
                caller.settimeout(10)
                caller.recv(65_536)
                caller.sendall(answer)
                read_to_end(caller)
            return "not as a part of this cluster" in process.log()

        wait_until(warned, "the gateway to refuse what it is told")
        assert " ready on " not in process.log()
    process.kill()


def test_documents_of_unauthenticated_requests_are_not_read(cluster):
    """The S3 port buffers small XML documents whole, and must do so only after it has authenticated the request."""
    gateway = cluster.gateways[0]
    before = gateway.memory_peak_mib()
    signature = (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + "0" * 64
    )
    for authorization in ("", f"Authorization: {signature}\r\nx-amz-date: 20260101T000000Z\r\n"):
        for target in ("/bucket?delete", "/bucket/key?tagging", "/bucket/key?uploadId=x"):
            method = "PUT" if "tagging" in target else "POST"
            request = (
                f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nContent-Length: {4 * MIB}\r\n"
                f"x-amz-content-sha256: {'0' * 64}\r\n{authorization}\r\n"
            )
            with socket.create_connection(("127.0.0.1", gateway.port), 60) as connection:
                connection.sendall(request.encode())
                # 404: an anonymous request learns that there is no such bucket, as at AWS. The document is not sent before.
                assert re.match(rb"HTTP/1.1 (400|403|404) ", connection.recv(65_536)), target
    assert gateway.memory_peak_mib() - before < FLAT_MIB
    with pytest.raises(botocore.exceptions.ClientError):
        cluster.client(signature_version="s3v4").head_bucket(Bucket="none")


def test_unauthenticated_requests_get_typed_errors(cluster):
    for part in (cluster.metanode, cluster.datanodes[0]):
        assert code(Port(part).ask("GET", "/events")) == "Unauthorized"
