"""Small objects share blocks: those that are written together, and those that the pack worker moves together later."""

import concurrent.futures

import pytest

from data import some_bytes
from harness import wait_until

KIB = 1024
PACK_SIZE = 1024 * KIB

# More blocks than there are packs in a test: each holds half of PACK_SIZE or more.
PACKS_MAX = 10

# Packs of 1 MiB, made at once, whose old blocks go soon.
SOON = {
    "CAIRN_PACK_SIZE": str(PACK_SIZE),
    "CAIRN_PACK_AGE": "0s",
    "CAIRN_PACK_INTERVAL": "1s",
    "CAIRN_GC_GRACE": "3s",
    "CAIRN_LEASE": "3s",
}


def body(number):
    """A body of 1 byte to 12 KiB."""
    return some_bytes(1 + number * 997 % (12 * KIB), number)


def put(client, number):
    client.put_object(Bucket="bucket", Key=f"{number:04}", Body=body(number), Metadata={"number": str(number)})


def check(client, number):
    answer = client.get_object(Bucket="bucket", Key=f"{number:04}")
    assert answer["Body"].read() == body(number)
    assert answer["Metadata"] == {"number": str(number)}


def at_once(work, numbers):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(work, numbers))


def objects_moved(cluster):
    workers = cluster.admin_json("worker", "list")
    return next(worker["done"] for worker in workers if worker["worker"] == "pack")


def wait_until_packed(cluster):
    """Waits until all objects but those that fill no pack are in packs, and the blocks that they were in are gone. Returns how many
    objects wait for more. How many share a block before depends on how fast the client is."""

    def left():
        groups = cluster.admin_json("pack", "start", "--dry-run")["groups"]
        objects = sum(group["objects"] for group in groups)
        is_done = sum(group["bytes"] for group in groups) < PACK_SIZE // 2
        return [objects] if is_done and cluster.status()["blocks"] <= objects + PACKS_MAX else None

    return wait_until(left, "the small blocks to go")[0]


@pytest.fixture
def store(make):
    cluster = make(datanodes=3, env=SOON)
    client = cluster.client()
    # One by one, each with a block of its own; then some that share one.
    for number in range(100):
        put(client, number)
    at_once(lambda number: put(client, number), range(100, 400))
    return cluster, client


def test_objects_that_are_written_at_once_share_blocks(make):
    cluster = make(datanodes=3)
    client = cluster.client()
    at_once(lambda number: put(client, number), range(300))
    assert cluster.status()["blocks"] < 300
    at_once(lambda number: check(client, number), range(300))
    wait_until(cluster.fully_replicated, "three replicas of each block")
    assert cluster.admin_json("fsck")["problems"] == []


def test_small_objects_are_moved_into_packs_and_stay_what_they_are(store):
    cluster, client = store
    left = wait_until_packed(cluster)
    at_once(lambda number: check(client, number), range(400))
    for number in (3, 150, 399):
        whole = body(number)
        first, last = len(whole) // 3, len(whole) // 2
        answer = client.get_object(Bucket="bucket", Key=f"{number:04}", Range=f"bytes={first}-{last}")
        assert answer["Body"].read() == whole[first : last + 1]
    assert cluster.admin_json("fsck")["problems"] == []
    assert objects_moved(cluster) == 400 - left


def test_a_pack_is_repaired_like_any_block_and_read_from_any_node(store):
    cluster, client = store
    wait_until_packed(cluster)
    cluster.datanodes[0].kill()
    at_once(lambda number: check(client, number), range(400))
    cluster.datanodes[0].restart()
    cluster.datanodes[1].kill()
    cluster.metanode.kill()
    cluster.metanode.restart()
    at_once(lambda number: check(client, number), range(400))


def test_objects_change_while_they_are_moved(store):
    cluster, client = store
    kept = {number: number for number in range(400)}
    for round_ in range(3):
        for number in range(round_, 400, 7):
            client.put_object(
                Bucket="bucket",
                Key=f"{number:04}",
                Body=body(number + 1000 * (round_ + 1)),
                Metadata={"number": str(number)},
            )
            kept[number] = number + 1000 * (round_ + 1)
        for number in range(round_ + 3, 400, 7):
            client.delete_object(Bucket="bucket", Key=f"{number:04}")
            kept.pop(number, None)
    # Of what is left some objects make a pack; the rest waits for more.
    wait_until(lambda: objects_moved(cluster) >= 80, "objects to be moved")
    for number, written in kept.items():
        assert client.get_object(Bucket="bucket", Key=f"{number:04}")["Body"].read() == body(written)
    listed = client.get_paginator("list_objects_v2").paginate(Bucket="bucket")
    keys = [entry["Key"] for page in listed for entry in page.get("Contents", [])]
    assert keys == [f"{number:04}" for number in sorted(kept)]
    assert cluster.admin_json("fsck")["problems"] == []


def test_an_operator_sees_what_would_be_packed_and_has_it_packed_now(make):
    cluster = make(datanodes=3, env={**SOON, "CAIRN_PACK_INTERVAL": "1h"})
    client = cluster.client()
    at_once(lambda number: put(client, number), range(300))
    found = cluster.admin_json("pack", "start", "--dry-run")
    (group,) = found.pop("groups")
    assert found == {"versions": 300, "young": 0}
    assert (group["replication"], group["objects"]) == (3, 300)
    assert group["bytes"] == sum(len(body(number)) for number in range(300))
    assert group["packs"] >= 1
    shown = cluster.admin("pack", "start", "--dry-run")
    assert "Nothing was changed" in shown and "300 versions looked at." in shown
    assert objects_moved(cluster) == 0
    assert "cairn admin worker list" in cluster.admin("pack", "start")
    wait_until(lambda: objects_moved(cluster) == 300, "all objects to be moved")
    at_once(lambda number: check(client, number), range(300))
    assert cluster.admin_json("pack", "start", "--dry-run")["groups"] == []
