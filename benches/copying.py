#!/usr/bin/env python3
"""How fast drain and repair copy blocks, next to plain copies of as many bytes, and what clients notice of repair.

    benches/copying.py [--only large|noticed|small] [--gib N] [--objects N] [--seconds N]

A cluster of separate processes on this machine, with two replicas of each block. The plain copy reads files of a block's size, sends
them through loopback TCP by sendfile, and writes and syncs each at the other end; it checks nothing. Large objects are of 64 MiB.
Small ones are of 1 KiB, and are in packs before their node is drained. What clients notice is measured at the default rates.
"""

import argparse
import concurrent.futures
import os
import pathlib
import socket
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/clients_py"))

import cairn_bench  # noqa: E402
import harness  # noqa: E402
from data import MIB, some_bytes  # noqa: E402
from harness import wait_until  # noqa: E402

BUCKET = "copying"
GIB = 1024 * MIB
LONG = 1800
STREAMS = 2

# No rate holds anything back, and nothing waits for its grace.
UNTHROTTLED = {
    "CAIRN_REPAIR_RATE": "1TiB",
    "CAIRN_DRAIN_RATE": "1TiB",
    "CAIRN_PACK_RATE": "1TiB",
    "CAIRN_REPAIR_GRACE": "0s",
    "CAIRN_PACK_AGE": "0s",
    "CAIRN_PACK_INTERVAL": "1s",
    "CAIRN_GC_GRACE": "3s",
    "CAIRN_LEASE": "3s",
}


def cluster(datanodes, env):
    return cairn_bench.running(harness.start_cluster, BUCKET, datanodes=datanodes, replication=2, env=env)


def bench(store, words, seconds):
    return cairn_bench.run([*words, "--endpoint", store.endpoint, "--bucket", BUCKET], seconds)["targets"][0]


def used(store, datanode):
    return sum(volume["used"] for volume in store.node(datanode)["volumes"])


def fill(store, words, is_full):
    """Writes objects until there are enough."""
    while not is_full():
        bench(store, ["put", "--keep", *words], 5)


def plain_copy(directory, block, count):
    """Bytes a second of plain copies of a file of `block` bytes."""
    source = directory / "source"
    source.write_bytes(some_bytes(block, 1))

    def receive(listener, name):
        with listener.accept()[0] as end, open(directory / name, "wb", buffering=0) as file:
            left = block
            while left:
                left -= file.write(end.recv(min(left, MIB)))
            os.fdatasync(file.fileno())

    def copy(number):
        with socket.create_server(("127.0.0.1", 0)) as listener, open(source, "rb") as file:
            taker = threading.Thread(target=receive, args=(listener, f"copy{number}"))
            taker.start()
            with socket.create_connection(listener.getsockname()) as out:
                out.sendfile(file)
            taker.join()
        (directory / f"copy{number}").unlink()

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(STREAMS) as pool:
        list(pool.map(copy, range(count)))
    return block * count / (time.monotonic() - began)


def drain(store, datanode):
    """Bytes a second at which a node is drained."""
    there = used(store, datanode)
    began = time.monotonic()
    store.admin("node", "drain", datanode.url, "--yes", "--wait", timeout=LONG)
    return there / (time.monotonic() - began)


def repair(store, datanode):
    """Bytes a second at which the blocks of a dead node get another replica, from the moment that it counts as dead."""
    there = used(store, datanode)
    datanode.kill()
    wait_until(lambda: store.node(datanode)["state"] == "dead", "the node to be dead", 60)
    began = time.monotonic()
    wait_until(store.fully_replicated, "the repair", LONG)
    return there / (time.monotonic() - began)


def show(what, rate, floor):
    print(f"{what:32}{rate / MIB:8.0f} MiB/s{floor / MIB:12.0f} MiB/s{rate / floor:8.2f} ×", flush=True)


def large(gib):
    with cluster(2, UNTHROTTLED) as store:
        first, second = store.datanodes
        fill(store, ["--size", "64MiB", "--concurrency", "4"], lambda: used(store, first) >= gib * GIB)
        block = used(store, first) // store.status()["blocks"]
        floor = [plain_copy(store.directory, block, gib * GIB // block)]
        store.add_datanode()
        drained = drain(store, first)
        floor.append(plain_copy(store.directory, block, gib * GIB // block))
        store.add_datanode()
        repaired = repair(store, second)
        floor.append(plain_copy(store.directory, block, gib * GIB // block))
    show("drain, 64 MiB", drained, (floor[0] + floor[1]) / 2)
    show("repair, 64 MiB", repaired, (floor[1] + floor[2]) / 2)


def small(objects):
    with cluster(2, UNTHROTTLED) as store:
        first, second = store.datanodes

        def is_packed():
            groups = store.admin_json("pack", "start", "--dry-run", timeout=LONG)["groups"]
            return sum(group["bytes"] for group in groups) < 4 * MIB and store.status()["blocks"] < 1000

        fill(store, ["--size", "1KiB", "--concurrency", "128"], lambda: cairn_bench.objects(store, BUCKET) >= objects)
        wait_until(is_packed, "the objects to be packed", LONG)
        there, blocks = cairn_bench.objects(store, BUCKET), store.status()["blocks"]
        block = max(MIB, used(store, first) // blocks)
        floor = plain_copy(store.directory, block, 2 * GIB // block)
        store.add_datanode()
        drained = drain(store, first)
        store.add_datanode()
        repaired = repair(store, second)
    print(f"{there:,} objects of 1 KiB in {blocks} blocks")
    show("drain, 1 KiB in packs", drained, floor)
    show("repair, 1 KiB in packs", repaired, floor)


def noticed(gib, seconds):
    """What clients notice of a repair at its default rate: a measurement without one, and one with it."""
    with cluster(3, {}) as store:
        fill(store, ["--size", "64MiB", "--concurrency", "4"], lambda: used(store, store.datanodes[0]) >= gib * GIB)
        for words in (["get", "--size", "1MiB", "--concurrency", "8"], ["put", "--size", "1MiB", "--concurrency", "8"]):
            wait_until(store.fully_replicated, "the repair", LONG)
            alone = bench(store, words, seconds)
            store.datanodes[-1].kill()
            wait_until(lambda: store.status()["under_replicated"] > 0, "a repair", 60)
            store.add_datanode()
            during = bench(store, words, seconds)
            left = store.status()["under_replicated"]
            ratio = during["operations"][0]["requests_per_second"] / alone["operations"][0]["requests_per_second"]
            print(f"{words[0]} 1 MiB during a repair: {ratio:.2f} × of alone; {left} blocks still wait at the end", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["large", "noticed", "small"], help="the others are not measured")
    parser.add_argument("--gib", type=int, default=3, help="of large objects on each node")
    parser.add_argument("--objects", type=int, default=1_000_000, help="small objects")
    parser.add_argument("--seconds", type=int, default=10, help="for which clients are measured")
    options = parser.parse_args()
    print(f"{'':32}{'Cairn':>14}{'plain copy':>18}{'ratio':>10}")
    if options.only in (None, "large"):
        large(options.gib)
    if options.only in (None, "noticed"):
        noticed(options.gib, options.seconds)
    if options.only in (None, "small"):
        small(options.objects)


if __name__ == "__main__":
    main()
