#!/usr/bin/env python3
"""What becomes of the cost of a request, of memory and of the time of a start when a store has more objects.

    benches/growth.py [--objects N,N,…] [--seconds N]

One `cairn server` is filled with small objects (`cairn bench put --keep`), and measured whenever it has as many as asked for: the CPU time of the server
for each request, its resident memory, and the time from the start of a process after SIGKILL to the answer to a HEAD of an object that was there before.
"""

import argparse
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/clients_py"))

import cairn_bench  # noqa: E402
import harness  # noqa: E402

BUCKET = "growth"

# Listings whose cost is averaged.
LISTINGS = 500

# Requests for the deletion of 1,000 keys.
DELETIONS = 5

# More objects than the metanode keeps in memory.
WORK = {
    "PUT 4 KiB": ["put", "--size", "4KiB", "--concurrency", "64"],
    "GET 4 KiB": ["get", "--size", "4KiB", "--concurrency", "64", "--objects", "20000"],
    "HEAD": ["stat", "--size", "4KiB", "--concurrency", "64", "--objects", "20000"],
    "LIST 1,000": ["list", "--size", "1KiB", "--concurrency", "4", "--objects", "5000"],
    "DELETE": ["delete", "--size", "4KiB", "--concurrency", "64"],
}


def bench(gateway, words, seconds):
    """Runs a workload on a server; returns its figures."""
    return cairn_bench.run([*words, "--endpoint", gateway.url, "--pid", str(gateway.pid), "--bucket", BUCKET], seconds)["targets"][0]


def fill(store, client, number):
    """Puts objects until there are as many."""
    while (left := number - cairn_bench.objects(store, BUCKET)) > 0:
        bench(store.gateways[0], ["put", "--size", "1KiB", "--concurrency", "128", "--keep"], min(60, 2 + left // 8000))
    return client.list_objects_v2(Bucket=BUCKET, MaxKeys=1)["Contents"][0]["Key"]


def start_time(store, client, key):
    """Milliseconds from a start after SIGKILL until an object is found."""
    gateway = store.gateways[0]
    gateway.kill()
    began = time.monotonic()
    gateway.restart()
    client.head_object(Bucket=BUCKET, Key=key)
    return (time.monotonic() - began) * 1000


def delimiter_cost(store, client):
    """Microseconds of CPU time for a listing whose few common prefixes have all objects of the bucket beneath them."""
    server = store.gateways[0]
    before = server.cpu_seconds()
    for _ in range(LISTINGS):
        answer = client.list_objects_v2(Bucket=BUCKET, Prefix="cairn-bench/", Delimiter="/")
        assert answer["CommonPrefixes"] and not answer.get("Contents")
    return (server.cpu_seconds() - before) / LISTINGS * 1e6


def delete_many_cost(store, client):
    """Microseconds of CPU time for a DeleteObjects of 1,000 keys."""
    server, spent = store.gateways[0], 0
    for _ in range(DELETIONS):
        keys = [{"Key": found["Key"]} for found in client.list_objects_v2(Bucket=BUCKET)["Contents"]]
        before = server.cpu_seconds()
        answer = client.delete_objects(Bucket=BUCKET, Delete={"Objects": keys, "Quiet": True})
        spent += server.cpu_seconds() - before
        assert len(keys) == 1000 and "Errors" not in answer
    return spent / DELETIONS * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", default="10000,100000,1000000", help="numbers of objects, rising")
    parser.add_argument("--seconds", type=int, default=5, help="for which each workload is measured")
    options = parser.parse_args()
    print(f"{'objects':>12}" + "".join(f"{name:>14}" for name in [*WORK, "prefixes", "delete 1,000"]) + f"{'memory':>12}{'start':>12}")
    with cairn_bench.running(harness.start_server, BUCKET) as store:
        client = store.client()
        for number in map(int, options.objects.split(",")):
            key = fill(store, client, number)
            there = cairn_bench.objects(store, BUCKET)
            started = start_time(store, client, key)
            prefixes = delimiter_cost(store, client)
            costs = [bench(store.gateways[0], words, options.seconds) for words in WORK.values()]
            costs = [cost["server"]["cpu_us_per_request"] for cost in costs]
            costs += [prefixes, delete_many_cost(store, client)]
            shown = "".join(f"{cost:11.0f} µs" for cost in costs)
            memory = f"{store.gateways[0].memory_mib():.0f} MiB"
            print(f"{there:12,}{shown}{memory:>12}{started:9.0f} ms", flush=True)


if __name__ == "__main__":
    main()
