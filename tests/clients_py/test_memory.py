"""Memory: a gateway transfers many large objects at the same time within its memory limit."""

import concurrent.futures

import pytest
from data import MIB, some_bytes
from raw import UNSIGNED, Raw

CLIENTS = 64
LENGTH = 256 * MIB
LIMIT_MIB = 512

# Each object is a sequence of these pieces, in an order that depends on the object's number.
PIECES = [some_bytes(MIB, n) for n in range(16)]


def pieces(n):
    return (PIECES[(n + i * (1 + n % 7)) % len(PIECES)] for i in range(LENGTH // MIB))


def upload(port, n):
    raw = Raw(port)
    head = raw.sign("PUT", f"/bucket/{n}", payload=UNSIGNED, unsigned=[("content-length", str(LENGTH))]).head
    with raw.connect(timeout=600) as connection:
        connection.write(head)
        for piece in pieces(n):
            connection.write(piece)
        answer = connection.answer("PUT")
    assert answer.status == 200, answer


def download(port, n):
    raw = Raw(port)
    buffer = bytearray(MIB)
    with raw.connect(timeout=600) as connection:
        connection.write(raw.sign("GET", f"/bucket/{n}").head)
        stream = connection.socket.makefile("rb", MIB)
        assert b" 200 " in stream.readline()
        while stream.readline() != b"\r\n":
            pass
        for i, piece in enumerate(pieces(n)):
            assert stream.readinto(buffer) == MIB, f"object {n} ends in MiB {i}"
            assert buffer == piece, f"object {n} differs in MiB {i}"


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_64_uploads_and_downloads_of_256_mib_stay_under_512_mib(start):
    cluster = start("cluster", datanodes=1, replication=1)
    cluster.client().create_bucket(Bucket="bucket")
    gateway = cluster.gateways[0]
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda n: upload(gateway.port, n), range(CLIENTS)))
        uploads = gateway.memory_peak_mib()
        list(pool.map(lambda n: download(gateway.port, n), range(CLIENTS)))
    peak = gateway.memory_peak_mib()
    print(f"gateway: {uploads:.0f} MiB at most for uploads, {peak:.0f} MiB for both")
    assert peak < LIMIT_MIB
