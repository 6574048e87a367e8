"""Clients that are slow, silent or many: they are disconnected after a while, and other clients are served meanwhile."""

import concurrent.futures
import socket
import time

import pytest
from data import MIB, some_bytes
from harness import wait_until
from raw import UNSIGNED, Raw
from slow import slow_clients

# The smallest limits that a gateway accepts, so that few slow clients would reach them.
LITTLE_MEMORY = {"CAIRN_DOWNLOAD_MEMORY": "8MiB", "CAIRN_BUFFER_MEMORY": "8MiB"}


def one_datanode(start, **env):
    cluster = start("cluster", datanodes=1, replication=1, env=env)
    s3 = cluster.client()
    s3.create_bucket(Bucket="bucket")
    return cluster, s3


def healthy(s3, rounds=5):
    """Writes and reads with four clients at the same time. Any error fails the test."""
    bodies = [some_bytes(size, size) for size in (10, 100_000, 3 * MIB)]

    def work(worker):
        for n in range(rounds):
            for body in bodies:
                key = f"healthy/{worker}/{len(body)}"
                s3.put_object(Bucket="bucket", Key=key, Body=body)
                assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == body, n

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


def test_slow_readers_hold_hardly_any_memory_and_delay_no_other_client(start):
    # Each download held 512 KiB until its end. 16 slow readers used up 8 MiB, and every other GET got SlowDown.
    cluster, s3 = one_datanode(start, **LITTLE_MEMORY)
    s3.put_object(Bucket="bucket", Key="large", Body=some_bytes(20 * MIB))
    with slow_clients("readers", cluster.port, 80):
        healthy(s3)
    assert cluster.gateways[0].memory_peak_mib() < 200


def test_slow_writers_hold_hardly_any_memory_and_delay_no_other_client(start):
    # Each upload held at least 64 KiB. 128 slow writers used up 8 MiB, and every other PUT waited for ever.
    cluster, s3 = one_datanode(start, **LITTLE_MEMORY)
    with slow_clients("writers", cluster.port, 250):
        healthy(s3)
    assert cluster.gateways[0].memory_peak_mib() < 200
    wait_until(
        lambda: all(o["Key"].startswith("healthy/") for o in s3.list_objects_v2(Bucket="bucket")["Contents"]),
        "nothing of the slow writers to be there",
    )


def test_a_slow_reader_gets_every_byte(start):
    cluster, s3 = one_datanode(start, CAIRN_RATE_MIN="0", **LITTLE_MEMORY)
    body = some_bytes(6 * MIB)
    s3.put_object(Bucket="bucket", Key="k", Body=body)
    raw = Raw(cluster.port)
    with raw.connect() as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        connection.write(raw.sign("GET", "/bucket/k").head)
        received = b""
        # The first MiB is read so slowly that the gateway parks the download several times, the rest quickly.
        while len(received) < len(body):
            if len(received) < MIB and (data := connection.socket.recv(100_000)):
                time.sleep(0.05 if len(received) % 3 else 1.6 if len(received) < 300_000 else 0)
            else:
                data = connection.socket.recv(1_000_000)
            assert data, "it was cut off"
            received += data
            if b"\r\n\r\n" in received[:4_096]:
                received = received.split(b"\r\n\r\n", 1)[1]
        assert received == body


def test_a_slow_upload_gets_request_timeout_and_a_slow_download_is_ended(start):
    # The gateway requires 100 KiB of each second in which it waits for the client.
    cluster, s3 = one_datanode(start, CAIRN_RATE_MIN="100KiB/s", CAIRN_RATE_WINDOW="1s")
    body = some_bytes(20 * MIB)
    s3.put_object(Bucket="bucket", Key="k", Body=body)
    raw = Raw(cluster.port)
    with raw.connect() as connection:
        unsigned = [("content-length", "1000000")]
        connection.write(raw.sign("PUT", "/bucket/slow", payload=UNSIGNED, unsigned=unsigned).head)
        connection.socket.settimeout(0.1)
        answer = None
        while answer is None:
            connection.write(b"a trickle")
            try:
                answer = connection.answer("PUT")
            except TimeoutError:
                pass
    assert (answer.status, answer.code) == (400, "RequestTimeout")
    with raw.connect() as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.write(raw.sign("GET", "/bucket/k").head)
        received = 0
        while data := connection.socket.recv(4_096):
            received += len(data)
            time.sleep(0.1)
        assert received < len(body)
    log = cluster.gateways[0].log()
    assert "a client was let go" in log and "SlowBody" in log and "SlowReader" in log
    # A client that is fast enough is not disconnected.
    assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == body


def is_gone(connection):
    """Waits until the server ends the connection. It sends a reset if it has not read all that it received."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "], ids=["nothing", "half a head"])
def test_connections_without_a_request_make_room_for_those_with_one(start, sent):
    # Such connections stayed open for 20 s each and kept others out. The header time-out is ten minutes here, so that only the
    # limit on connections can end them.
    limits = {"CAIRN_CONNECTIONS_MAX": "40", "CAIRN_CONNECTIONS_PER_ADDRESS_MAX": "40", "CAIRN_HEADER_TIMEOUT": "10m"}
    cluster, s3 = one_datanode(start, **limits)
    silent = []
    for _ in range(60):
        connection = socket.create_connection(("127.0.0.1", cluster.port), 60)
        connection.sendall(sent)
        silent.append(connection)
    healthy(s3, rounds=1)
    # The gateway has closed the oldest connection.
    assert is_gone(silent[0])
    for connection in silent:
        connection.close()


def test_one_address_does_not_get_all_connections(start):
    limits = {"CAIRN_CONNECTIONS_MAX": "40", "CAIRN_CONNECTIONS_PER_ADDRESS_MAX": "30", "CAIRN_RATE_MIN": "0"}
    cluster, s3 = one_datanode(start, **limits)
    with slow_clients("writers", cluster.port, 30):
        more = socket.create_connection(("127.0.0.1", cluster.port), 60, ("127.0.0.2", 0))
        assert more.recv(1) == b""
        healthy(s3, rounds=1)


def test_requests_above_the_limit_of_a_client_get_503(start):
    for limit, other in (("ADDRESS", 200), ("KEY", 503)):
        cluster, s3 = one_datanode(start, **{f"CAIRN_REQUESTS_PER_{limit}_MAX": "5"})
        s3.put_object(Bucket="bucket", Key="large", Body=some_bytes(20 * MIB))
        raw = Raw(cluster.port)
        with slow_clients("readers", cluster.port, 5) as end:

            def answer(address):
                with socket.create_connection(("127.0.0.1", cluster.port), 60, (address, 0)) as connection:
                    connection.sendall(raw.sign("HEAD", "/bucket/large").head)
                    return int(connection.recv(1_000).split(b" ")[1])

            assert answer("127.0.0.2") == 503
            assert answer("127.0.0.1") == other
            end()
        wait_until(lambda: answer("127.0.0.2") == 200, "those who have gone to be forgotten")
