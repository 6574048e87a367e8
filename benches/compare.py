#!/usr/bin/env python3
"""What requests on small objects cost with one binary of Cairn, next to another one in the same run.

    benches/compare.py BEFORE [AFTER]

BEFORE and AFTER are release binaries; AFTER is target/release/cairn unless it is given. Both serve the same requests in turns,
so that what else the machine does hits both. The figures are ratios of AFTER to BEFORE, pair by pair:

    CPU     time of the server's threads per request, with 8 connections
    time    from request to answer, with 1 connection

The median of the pairs is given with the quarter below and above it. A ratio of 1.05 is 5 % more than before.
"""

import pathlib
import socket
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/clients_py"))

import harness  # noqa: E402
from data import some_bytes  # noqa: E402
from raw import UNSIGNED, Raw  # noqa: E402

SIZE = 4_096
ROUNDS = 15
CONNECTIONS = 8
# With 8 connections, and with one. CPU time of threads is counted in nanoseconds, so a round may be short.
MANY, FEW = 1_600, 200
BODY = some_bytes(SIZE)


class Connection:
    """A connection that expects answers with a length, and reads no more of them than it must."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request):
        self.socket.sendall(request)

    def receive(self, has_body):
        answer = self.socket.recv(65_536)
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self.socket.recv(65_536)
        head = answer[:end].lower()
        assert head.startswith(b"http/1.1 200"), answer
        if has_body:
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            while len(answer) < end + 4 + length:
                answer += self.socket.recv(65_536)


class Store:
    """A running binary, and the cost of its requests."""

    def __init__(self, binary, directory):
        harness.BINARY = str(binary)
        directory.mkdir()
        self.store = harness.start_server(directory)
        self.store.client().create_bucket(Bucket="bucket")
        self.raw = Raw(self.store.port)
        self.connections = [Connection(self.store.port) for _ in range(CONNECTIONS)]

    def requests(self, method, keys):
        body = BODY if method == "PUT" else b""
        lengths = [("content-length", str(len(body)))]
        return [
            self.raw.sign(method, f"/bucket/{key}", payload=UNSIGNED, unsigned=lengths).head + body for key in keys
        ]

    def run(self, requests, has_body, connections):
        """Sends the requests, one on each connection at a time. Returns seconds of CPU and of time per request."""
        server = self.store.gateways[0]
        cpu, began = server.cpu_seconds(), time.monotonic()
        for first in range(0, len(requests), connections):
            used = list(zip(self.connections[:connections], requests[first:], strict=False))
            for connection, request in used:
                connection.send(request)
            for connection, _ in used:
                connection.receive(has_body)
        seconds = time.monotonic() - began
        return (server.cpu_seconds() - cpu) / len(requests), seconds / len(requests)

    def round(self, number):
        """The cost of each kind of request: its seconds of CPU, and its seconds."""
        keys = [f"round-{number:03}/object-{n:08}" for n in range(MANY + FEW)]
        found = {}
        for method, has_body in (("PUT", False), ("GET", True), ("HEAD", False)):
            requests = self.requests(method, keys)
            cpu, _ = self.run(requests[:MANY], has_body, CONNECTIONS)
            _, seconds = self.run(requests[MANY:], has_body, 1)
            found[method] = (cpu, seconds)
        return found


def ratios(pairs):
    """The median of the ratios of pairs, and the quarters around it."""
    below, median, above = statistics.quantiles([after / before for before, after in pairs], n=4)
    return f"{median:6.3f} ({below:.3f} to {above:.3f})"


def main():
    before, after = (pathlib.Path(path).resolve() for path in [*sys.argv[1:], ROOT / "target/release/cairn"][:2])
    with tempfile.TemporaryDirectory() as name:
        stores = [Store(binary, pathlib.Path(name) / what) for binary, what in ((before, "before"), (after, "after"))]
        try:
            for store in stores:
                store.round(0)
            rounds = []
            for number in range(1, ROUNDS + 1):
                # The second one of a pair may find the machine in another state, so they take turns.
                order = stores if number % 2 else stores[::-1]
                found = {store: store.round(number) for store in order}
                rounds.append([found[store] for store in stores])
        finally:
            for store in stores:
                store.store.stop()
    print(f"{ROUNDS} pairs of rounds, objects of {SIZE} bytes; after / before: median (quarters)")
    print(f"{'':6}{'CPU per request':>28}{'time per request':>28}{'CPU before':>16}")
    for method in ("PUT", "GET", "HEAD"):
        cpu = [(one[method][0], other[method][0]) for one, other in rounds]
        seconds = [(one[method][1], other[method][1]) for one, other in rounds]
        micros = statistics.median(one for one, _ in cpu) * 1e6
        print(f"{method:6}{ratios(cpu):>28}{ratios(seconds):>28}{micros:13.0f} µs")


if __name__ == "__main__":
    main()
