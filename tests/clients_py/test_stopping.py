"""SIGTERM and SIGINT: requests in flight are finished, new ones are refused, and no write is half done."""

import os
import signal
import socket
import subprocess
import threading

import pytest
from data import MIB, some_bytes
from errors import s3_error
from harness import BINARY, READY, credentials, s3_client, start_server, wait_until
from raw import UNSIGNED, Raw


def test_requests_in_flight_are_finished_before_the_stop(start):
    store = start("server")
    server = store.gateways[0]
    s3 = store.client()
    s3.create_bucket(Bucket="bucket")
    body = some_bytes(20 * MIB)
    s3.put_object(Bucket="bucket", Key="old", Body=body)
    raw = Raw(server.port)
    unsigned = [("content-length", str(len(body))), ("expect", "100-continue")]
    put = raw.sign("PUT", "/bucket/new", payload=UNSIGNED, unsigned=unsigned)
    with raw.connect() as upload, raw.connect() as download:
        assert upload.exchange(put.head).status == 100
        upload.write(body[: 10 * MIB])
        download.write(raw.sign("GET", "/bucket/old").head)
        first = download.socket.recv(1)
        server.terminate()
        wait_until(lambda: not accepts(server.port), "the server to stop listening")
        upload.write(body[10 * MIB :])
        assert upload.answer("PUT").status == 200
        download.rest = first
        assert download.answer().body == body
        assert upload.closed() and download.closed()
    assert server.exit_code() == 0
    server.restart()
    assert store.client().get_object(Bucket="bucket", Key="new")["Body"].read() == body


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except (ConnectionRefusedError, ConnectionResetError):
        # The kernel resets a connection whose listening socket is closed during the handshake.
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_an_idle_server_stops_at_once(start, number):
    server = start("server").gateways[0]
    # An open connection without a request must not delay the stop.
    with socket.create_connection(("127.0.0.1", server.port)):
        server.child.send_signal(number)
        assert server.exit_code(timeout=10) == 0


def test_a_second_signal_ends_requests_in_flight(start):
    store = start("server")
    server = store.gateways[0]
    store.client().create_bucket(Bucket="bucket")
    raw = Raw(server.port)
    unsigned = [("content-length", "1000"), ("expect", "100-continue")]
    put = raw.sign("PUT", "/bucket/k", payload=UNSIGNED, unsigned=unsigned)
    with raw.connect() as connection:
        # The 100 shows that the server has read the request. It may drop a request that it has not read yet.
        assert connection.exchange(put.head).status == 100
        connection.write(b"x")
        server.terminate()
        wait_until(lambda: not accepts(server.port), "the server to stop listening")
        assert server.running()
        server.terminate()
        server.exit_code(timeout=10)
    server.restart()
    with s3_error("NoSuchKey", 404):
        store.client().get_object(Bucket="bucket", Key="k")


def test_each_part_of_a_cluster_stops_cleanly(start):
    cluster = start("cluster")
    s3 = cluster.client()
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="k", Body=some_bytes(9 * MIB))
    for part in [*cluster.gateways, *cluster.datanodes, cluster.metanode]:
        assert part.stop() == 0, part.log()[-3000:]


def test_data_survives_stopping_and_starting(tmp_path):
    body = some_bytes(9 * MIB)
    for n in range(3):
        store = start_server(tmp_path, datanodes=3)
        try:
            s3 = store.client()
            if n == 0:
                s3.create_bucket(Bucket="bucket")
            s3.put_object(Bucket="bucket", Key=f"{n}", Body=body)
            for earlier in range(n + 1):
                assert s3.get_object(Bucket="bucket", Key=f"{earlier}")["Body"].read() == body
        finally:
            store.stop()
    store.check()


def test_uploads_keep_their_parts_over_a_restart(start):
    store = start("server")
    s3 = store.client()
    s3.create_bucket(Bucket="bucket")
    upload = s3.create_multipart_upload(Bucket="bucket", Key="k")["UploadId"]
    bodies = [some_bytes(6 * MIB, 1), some_bytes(100, 2)]

    def part(number):
        answer = store.client().upload_part(
            Bucket="bucket", Key="k", UploadId=upload, PartNumber=number, Body=bodies[number - 1]
        )
        return {"PartNumber": number, "ETag": answer["ETag"]}

    parts = [part(1)]
    store.gateways[0].kill()
    store.gateways[0].restart()
    parts.append(part(2))
    s3 = store.client()
    s3.complete_multipart_upload(Bucket="bucket", Key="k", UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == b"".join(bodies)


def test_sigkill_in_the_middle_of_writes_loses_nothing_that_was_acknowledged(start):
    store = start("server", datanodes=3)
    s3 = store.client()
    s3.create_bucket(Bucket="bucket")
    acknowledged = []

    def write(worker):
        n = 0
        while True:
            key = f"{worker}/{n}"
            body = some_bytes(200_000 if n % 3 else 3 * MIB, hash((worker, n)) % 1_000)
            try:
                s3.put_object(Bucket="bucket", Key=key, Body=body)
            except Exception:  # noqa: BLE001 - the server is gone
                return
            acknowledged.append((key, body))
            n += 1

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(acknowledged) >= 40, "some writes to be acknowledged")
    store.gateways[0].kill()
    for thread in threads:
        thread.join()
    store.gateways[0].restart()
    s3 = store.client()
    for key, body in acknowledged:
        assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == body
    listed = {
        o["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket="bucket")
        for o in page["Contents"]
    }
    # A write that was not acknowledged may be there as a whole, or not at all.
    assert {key for key, _ in acknowledged} <= listed
    for key in listed - {key for key, _ in acknowledged}:
        assert s3.get_object(Bucket="bucket", Key=key)["Body"].read()


# Standard output and standard error in one pipe, as a container's log has them.
PIPE = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}


def test_a_server_whose_log_nobody_reads_serves_on_and_stops(tmp_path):
    """Each line was written by the request's own task. When whoever reads standard error stood still, so did the server, as soon as
    the pipe was full."""
    command = [BINARY, "server", "--data-dir", tmp_path / "data", "--listen", "127.0.0.1:0"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("CAIRN_")}
    with subprocess.Popen(command, env=env | credentials(), **PIPE) as server:
        try:
            ready = next(found for line in server.stdout if (found := READY.search(line)))
            s3 = s3_client(ready.group(1), read_timeout=20)
            s3.create_bucket(Bucket="bucket")
            # A pipe holds 64 KiB (pipe(7)), and each request has a line of a hundred bytes or more.
            for number in range(1000):
                s3.list_objects_v2(Bucket="bucket", Prefix=f"{number}/")
            server.terminate()
            assert server.wait(60) == 0
        finally:
            server.kill()
