#!/usr/bin/env python3
"""What healthy clients notice of 1,000 slow readers and of 3,000 slow writers.

Each slow client moves some bytes a second. Beside them a few clients read and write objects as fast as they can;
their p99 is shown next to what it was without the slow ones, with their errors and the gateway's memory.

    benches/slow_clients.py [READERS [WRITERS [SECONDS]]]
"""

import pathlib
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/clients_py"))

import harness  # noqa: E402
from data import MIB, some_bytes  # noqa: E402
from raw import UNSIGNED, Raw  # noqa: E402
from slow import slow_clients  # noqa: E402

WORKERS = 4
BODIES = [some_bytes(size, size) for size in (4_096, MIB)]
# Twice the default of --rate-min: slow enough to hold a place for hours, quick enough to be let.
RATE = 2_048


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


class Healthy:
    """Clients that put and get objects for a while."""

    def __init__(self, port, seconds):
        self.raw = Raw(port)
        self.ends = time.monotonic() + seconds
        self.times = {}
        self.errors = []
        self.lock = threading.Lock()
        threads = [threading.Thread(target=self.work, args=(n,)) for n in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def work(self, worker):
        with self.raw.connect(timeout=120) as connection:
            while time.monotonic() < self.ends:
                for body in BODIES:
                    for method in ("PUT", "GET"):
                        self.ask(connection, method, f"/bucket/{worker}-{len(body)}", body)

    def ask(self, connection, method, path, body):
        sent = body if method == "PUT" else b""
        unsigned = [("content-length", str(len(sent)))] if sent else []
        head = self.raw.sign(method, path, payload=UNSIGNED, unsigned=unsigned).head
        began = time.monotonic()
        answer = connection.exchange(head + sent, method)
        took = time.monotonic() - began
        with self.lock:
            self.times.setdefault(f"{method} {len(body):>9,}", []).append(took)
            if answer.status != 200 or (method == "GET" and answer.body != body):
                self.errors.append((method, path, answer.status))


def show(title, healthy, without, gateway):
    print(f"\n{title}: {len(healthy.errors)} errors, gateway at most {gateway.memory_peak_mib():.0f} MiB")
    for what, times in sorted(healthy.times.items()):
        p50, p99 = (percentile(times, share) * 1000 for share in (0.5, 0.99))
        ratio = p99 / (percentile(without.times[what], 0.99) * 1000)
        print(f"  {what} bytes: {len(times):6} requests, p50 {p50:7.1f} ms, p99 {p99:7.1f} ms, p99 ratio {ratio:5.2f}")


def main(readers=1_000, writers=3_000, seconds=30):
    with tempfile.TemporaryDirectory() as directory:
        cairn = harness.start_cluster(directory, datanodes=1, replication=1)
        try:
            cairn.client().create_bucket(Bucket="bucket")
            cairn.client().put_object(Bucket="bucket", Key="large", Body=some_bytes(64 * MIB))
            port, gateway = cairn.port, cairn.gateways[0]
            Healthy(port, 3)
            without = Healthy(port, seconds)
            show("without slow clients", without, without, gateway)
            for kind, count in (("readers", readers), ("writers", writers)):
                with slow_clients(kind, port, count, RATE) as end:
                    beside = Healthy(port, seconds)
                    let_go = end()
                show(f"beside {count:,} slow {kind}, of whom {let_go} were let go", beside, without, gateway)
        finally:
            cairn.stop()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
