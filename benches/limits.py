#!/usr/bin/env python3
"""How near `cairn server` comes to what this machine can do at all.

    benches/limits.py [--seconds N] [--rounds N] [--only WORDS]

The same workloads (`cairn bench`) run in turns on `cairn server` and on servers that do less: floors. They share the run, so that what else the
machine does hits all of them. Each row has the requests per second of Cairn as a share of a floor's, pair by pair: the median, and the quarters below
and above it; and the CPU time of the server per request, Cairn's next to the floor's.

    memory        a bare hyper server that reads a body, or answers from memory (load/examples/floor.rs)
    hash          the same, with MD5 and CRC of each body
    hash, sync    the same, with each body written to a file and synced (fdatasync)
    nginx         nginx, if it is there: sendfile and DAV PUT, nothing synced

At the end stand rates of the machine itself: MD5 and SHA-256 of one core, syncs of the disk, and SQLite in a loop of C, if there is a compiler and SQLite's
header (libsqlite3-dev).
"""

import argparse
import contextlib
import hashlib
import itertools
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/clients_py"))

import cairn_bench  # noqa: E402
import harness  # noqa: E402

FLOOR = ROOT / "target/release/examples/floor"
SQLITE = ROOT / "benches/sqlite_floor.c"
MIB = 1 << 20

# What is measured, how, and against which floors.
LARGE_PUT, LARGE_GET = ["put", "--size", "64MiB"], ["get", "--size", "64MiB", "--objects", "8"]
WORK = [
    ("PUT 64 MiB, 1 client", [*LARGE_PUT, "--concurrency", "1"], ["memory", "hash", "hash, sync", "nginx"]),
    ("PUT 64 MiB, 8 clients", [*LARGE_PUT, "--concurrency", "8"], ["memory", "hash", "hash, sync", "nginx"]),
    ("GET 64 MiB, 1 client", [*LARGE_GET, "--concurrency", "1"], ["memory", "nginx"]),
    ("GET 64 MiB, 8 clients", [*LARGE_GET, "--concurrency", "8"], ["memory", "nginx"]),
    ("PUT 4 KiB, 64 clients", ["put", "--size", "4KiB", "--concurrency", "64"], ["memory", "hash", "hash, sync", "nginx"]),
    ("GET 4 KiB, 64 clients", ["get", "--size", "4KiB", "--concurrency", "64"], ["memory", "nginx"]),
    ("HEAD, 64 clients", ["stat", "--size", "4KiB", "--concurrency", "64"], ["memory", "nginx"]),
    (
        "range 64 KiB in 64 MiB, 8 clients",
        ["range-get", "--size", "64MiB", "--range", "64KiB", "--objects", "8", "--concurrency", "8"],
        ["memory", "nginx"],
    ),
]

NGINX = """
worker_processes 2; pid {directory}/pid; error_log {directory}/error.log; daemon off;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; keepalive_requests 1000000; client_max_body_size 0;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/p; fastcgi_temp_path {directory}/f;
  uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  server {{
    listen 127.0.0.1:{port}; root {directory}/root;
    location = /cairn-bench {{ return 200 '<ListBucketResult/>'; }}
    location / {{ dav_methods PUT DELETE; create_full_put_path on; }}
  }}
}}
"""


class Server:
    """A server to measure: its URL, and its processes."""

    def __init__(self, url, pids):
        self.url, self.pids = url, pids


@contextlib.contextmanager
def floor(*words):
    with subprocess.Popen([FLOOR, *words], stdout=subprocess.PIPE, text=True) as child:
        try:
            yield Server(child.stdout.readline().strip(), [child.pid])
        finally:
            child.kill()


@contextlib.contextmanager
def nginx(directory):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name in ("root", "body"):
        (directory / name).mkdir()
    # Its workers may run as another user.
    for path in (directory, directory / "root", directory / "body"):
        path.chmod(0o777)
    configuration = directory / "nginx.conf"
    configuration.write_text(NGINX.format(directory=directory, port=port))
    with subprocess.Popen([shutil.which("nginx"), "-c", configuration], stderr=subprocess.DEVNULL) as child:
        try:
            children = pathlib.Path(f"/proc/{child.pid}/task/{child.pid}/children")
            harness.wait_until(lambda: len(children.read_text().split()) == 2, "nginx to start")
            yield Server(f"http://127.0.0.1:{port}", [child.pid, *map(int, children.read_text().split())])
        finally:
            child.terminate()


@contextlib.contextmanager
def cairn(directory):
    store = harness.start_server(directory)
    try:
        yield Server(store.gateways[0].url, [store.gateways[0].pid])
    finally:
        store.stop()


@contextlib.contextmanager
def servers(names, is_put):
    """Cairn, and these floors as far as they can be had."""
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as name, contextlib.ExitStack() as stack:
        directory = pathlib.Path(name)
        directory.chmod(0o755)
        for part in ("cairn", "files", "nginx"):
            (directory / part).mkdir()
        discard = ["discard"] if is_put else []
        makes = {
            "memory": lambda: floor(*discard),
            "hash": lambda: floor(*discard, "hash"),
            "hash, sync": lambda: floor(*discard, "hash", "sync", str(directory / "files")),
            "nginx": lambda: nginx(directory / "nginx"),
        }
        found = {"cairn": stack.enter_context(cairn(directory / "cairn"))}
        for each in names:
            if each != "nginx" or shutil.which("nginx"):
                found[each] = stack.enter_context(makes[each]())
        yield found


def bench(line, found, options):
    """Runs a workload on all servers in turns; returns the report."""
    command = [*line, "--rounds", str(options.rounds)]
    for name, server in found.items():
        pids = server.pids
        if name == "cairn":
            command += ["--endpoint", server.url, "--pid", ",".join(map(str, pids))]
        else:
            # A comma separates the parts of a server.
            label = name.replace(", ", "+")
            command += ["--compare", ",".join([f"endpoint={server.url}", f"name={label}", *(f"pid={pid}" for pid in pids)])]
    return cairn_bench.run(command, options.seconds)


def rows(report):
    """For each floor: Cairn's share of its requests per second, and the CPU time of both per request."""
    cost = {target["name"]: target["server"]["cpu_us_per_request"] for target in report["targets"]}
    (own, *others) = cost
    for other in others:
        of = next(one for one in report["comparisons"] if one["target"] == other and one["figure"] == "requests-per-second")
        # The report has the floor's figure as a ratio to Cairn's.
        shares = sorted(1 / pair for pair in of["pairs"])
        low, median, high = statistics.quantiles(shares, n=4) if len(shares) > 1 else shares * 3
        yield other.replace("+", ", "), (low, median, high), cost[own], cost[other]


def rate(work, seconds=2):
    """How often `work` is done in a second."""
    began, count = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        work()
        count += 1
    return count / (time.monotonic() - began)


def machine():
    """Rates of the machine itself."""
    body = os.urandom(8 * MIB)
    for name in ("md5", "sha256"):
        print(f"{name} of one core: {rate(lambda name=name: hashlib.new(name, body)) * 8:.0f} MiB/s")
    with tempfile.NamedTemporaryFile(dir=ROOT / "target") as file:

        def sync():
            os.pwrite(file.fileno(), body[:4096], 0)
            os.fdatasync(file.fileno())

        print(f"syncs of 4 KiB (fdatasync): {rate(sync):.0f} a second")
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as name:
        files = rate(a_file(name, body[:4096]))
        print(f"files of 4 KiB, each written, synced and renamed: {files:.0f} a second")
    sqlite()


def a_file(directory, body):
    """Writes a file as one store per object does: under another name, synced, and renamed."""
    numbers = itertools.count()

    def write():
        begun, done = f"{directory}/begun", f"{directory}/{next(numbers)}"
        with open(begun, "wb", buffering=0) as file:
            file.write(body)
            os.fsync(file.fileno())
        os.rename(begun, done)

    return write


def sqlite():
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as name:
        program = f"{name}/floor"
        compiler = shutil.which("cc")
        if not compiler or subprocess.run([compiler, "-O2", "-o", program, SQLITE, "-lsqlite3"], capture_output=True).returncode:
            print("SQLite: not measured, for lack of a C compiler or of libsqlite3-dev")
            return
        print(subprocess.run([program, f"{name}/db"], capture_output=True, text=True, check=True).stdout, end="")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20, help="for which each server is measured in each row")
    parser.add_argument("--rounds", type=int, default=5, help="in which the servers take turns")
    parser.add_argument("--only", default="", help="rows whose name has these words")
    options = parser.parse_args()
    print(f"{'work':36}{'floor':12}{'share of its requests/s':>30}{'CPU, Cairn':>14}{'CPU, floor':>14}{'ratio':>8}")
    for name, line, floors in WORK:
        if options.only not in name:
            continue
        with servers(floors, line[0] == "put") as found:
            for other, (low, median, high), own, theirs in rows(bench(line, found, options)):
                share = f"{median:.2f} ({low:.2f} to {high:.2f})"
                ratio = f"{own / theirs:.2f}" if theirs else "-"
                print(f"{name:36}{other:12}{share:>30}{own:11.0f} µs{theirs:11.0f} µs{ratio:>8}", flush=True)
    machine()


if __name__ == "__main__":
    main()
