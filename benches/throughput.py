#!/usr/bin/env python3
"""Throughput of `cairn server`, next to what this machine can do at all.

Absolute numbers say little on a shared machine; each is shown with a floor measured in the same run:

    PUT of large objects   writing the same bytes to files, with one fsync each
    GET of large objects   the same bytes through a loopback connection
    PUT of small objects   appending to a file with an fsync for each, by one writer
"""

import concurrent.futures
import os
import pathlib
import socket
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/clients_py"))

import harness  # noqa: E402
from data import MIB, some_bytes  # noqa: E402
from raw import UNSIGNED, Raw  # noqa: E402

LARGE = 64 * MIB
LARGE_COUNT = 16
SMALL = 4_096
SMALL_COUNT = 2_000
WORKERS = 8


def timed(work, items):
    """How long `work` takes for all items, by several threads."""
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(work, items))
    return time.monotonic() - began


def floor_files(directory, body):
    def write(n):
        with open(directory / f"floor{n}", "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())

    seconds = timed(write, range(LARGE_COUNT))
    for n in range(LARGE_COUNT):
        (directory / f"floor{n}").unlink()
    return seconds


def floor_fsync(directory):
    began = time.monotonic()
    with open(directory / "floor", "wb") as file:
        for _ in range(SMALL_COUNT // 10):
            file.write(b"x" * SMALL)
            file.flush()
            os.fdatasync(file.fileno())
    return (time.monotonic() - began) * 10


def floor_loopback(body):
    listener = socket.create_server(("127.0.0.1", 0))

    def send():
        for _ in range(LARGE_COUNT):
            connection, _ = listener.accept()
            threading.Thread(target=lambda c=connection: (c.sendall(body), c.close())).start()

    threading.Thread(target=send, daemon=True).start()

    def receive(_):
        buffer = bytearray(MIB)
        with socket.create_connection(listener.getsockname()) as connection:
            while connection.recv_into(buffer):
                pass

    return timed(receive, range(LARGE_COUNT))


class Client:
    """Keeps a connection for each thread."""

    def __init__(self, port):
        self.raw = Raw(port)
        self.local = threading.local()

    def connection(self):
        if not hasattr(self.local, "connection"):
            self.local.manager = self.raw.connect(timeout=120)
            self.local.connection = self.local.manager.__enter__()
        return self.local.connection

    def put(self, key, body):
        unsigned = [("content-length", str(len(body)))]
        head = self.raw.sign("PUT", f"/bucket/{key}", payload=UNSIGNED, unsigned=unsigned).head
        connection = self.connection()
        connection.write(head)
        connection.write(body)
        assert connection.answer("PUT").status == 200

    def get(self, key):
        connection = self.connection()
        connection.write(self.raw.sign("GET", f"/bucket/{key}").head)
        stream = connection.socket.makefile("rb", MIB)
        assert b" 200 " in stream.readline()
        length = 0
        while (line := stream.readline()) != b"\r\n":
            name, value = line.lower().split(b":", 1)
            if name == b"content-length":
                length = int(value)
        buffer = memoryview(bytearray(MIB))
        while length:
            length -= stream.readinto(buffer[: min(length, MIB)])


def main():
    large = some_bytes(LARGE)
    with tempfile.TemporaryDirectory(dir=os.environ.get("CAIRN_BENCH_DIR")) as name:
        directory = pathlib.Path(name)
        files, loopback, fsync = floor_files(directory, large), floor_loopback(large), floor_fsync(directory)
        store = harness.start_server(directory)
        try:
            store.client().create_bucket(Bucket="bucket")
            client = Client(store.port)
            put = timed(lambda n: client.put(f"large{n}", large), range(LARGE_COUNT))
            get = timed(lambda n: client.get(f"large{n}"), range(LARGE_COUNT))
            small = timed(lambda n: client.put(f"small{n}", large[:SMALL]), range(SMALL_COUNT))
            memory = store.gateways[0].memory_peak_mib()
        finally:
            store.stop()
    total = LARGE * LARGE_COUNT / MIB
    print(f"{'':22}{'cairn':>14}{'floor':>14}{'ratio':>8}")
    for what, ours, floor, amount, unit in (
        ("PUT large", put, files, total, "MiB/s"),
        ("GET large", get, loopback, total, "MiB/s"),
        ("PUT small", small, fsync, SMALL_COUNT, "/s"),
    ):
        print(f"{what:22}{amount / ours:8.0f} {unit:5}{amount / floor:8.0f} {unit:5}{floor / ours:8.2f}")
    print(f"memory at most {memory:.0f} MiB")


if __name__ == "__main__":
    main()
