"""Disks that corrupt data: no client gets a wrong byte, and corrupt replicas are replaced by copies of good ones."""

import time

import botocore.exceptions
import damage
import pytest
import urllib3.exceptions
from data import MIB, some_bytes
from harness import wait_until

# A small block, which lies in a shared segment, and a large one, which has a dedicated segment.
LENGTHS = [60_000, 3 * MIB]

# A read fails with an error before the body, or with the end of the connection within it.
REFUSALS = (
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
    urllib3.exceptions.HTTPError,
    OSError,
)


def body(n):
    return some_bytes(LENGTHS[n], n)


def put(client):
    for n in range(2):
        client.put_object(Bucket="bucket", Key=f"{n}", Body=body(n))


def get(client, n):
    assert client.get_object(Bucket="bucket", Key=f"{n}")["Body"].read() == body(n)


def flip(cluster, datanodes):
    """Flips a bit near the end of each segment of these datanodes."""
    for n in datanodes:
        files = damage.segments(cluster.data_directory(f"datanode{n}"))
        assert len(files) == 2, files
        for path in files:
            damage.flip_bit(path, 100)


def quarantined(cluster, n):
    return sorted((cluster.data_directory(f"datanode{n}") / "quarantine").iterdir())


def start_with_objects(start, datanodes, **env):
    env = {"CAIRN_GC_GRACE": "3s", "CAIRN_LEASE": "3s"} | env
    cluster = start("cluster", datanodes=datanodes, replication=2, env=env)
    wait_until(lambda: len(cluster.status()["nodes"]) == datanodes, "all nodes")
    client = cluster.client()
    client.create_bucket(Bucket="bucket")
    put(client)
    wait_until(cluster.fully_replicated, "two replicas of every block")
    return cluster, client


def test_a_flipped_bit_is_found_by_reading_and_repaired_while_clients_get_the_right_bytes(start):
    cluster, client = start_with_objects(start, 2)
    flip(cluster, [0])
    node = cluster.node(cluster.datanodes[0])["node"]
    with cluster.events() as events:
        # Reads repeat until they have met both corrupt replicas, because the gateway may read either replica first. The
        # events count them: a repaired replica can leave the quarantine before the test looks there.
        deadline = time.monotonic() + 120
        found = set()
        while len(found) < 2:
            for n in range(2):
                get(client, n)
            found.update(event["block"] for event in events.so_far("ReplicaCorrupt", node=node))
            assert time.monotonic() < deadline, f"nobody read the bad replicas; found: {found}"
    repaired(cluster, client)


def test_a_flipped_bit_is_found_by_the_scrubber_and_repaired_without_a_read(start):
    cluster, client = start_with_objects(start, 2, CAIRN_SCRUB_PERIOD="200ms")
    flip(cluster, [0])
    node = cluster.node(cluster.datanodes[0])["node"]
    with cluster.events() as events:
        events.wait_for("ReplicaCorrupt", node=node)
        events.wait_for("ReplicaCorrupt", node=node)
    repaired(cluster, client)


def repaired(cluster, client):
    """Asserts that the damaged node has good replicas again: it serves all objects alone."""
    wait_until(cluster.fully_replicated, "two replicas of every block", 120)
    wait_until(lambda: quarantined(cluster, 0) == [], "the bad replicas to be deleted", 120)
    wait_until(cluster.fully_replicated, "two replicas of every block", 120)
    cluster.datanodes[1].kill()
    for n in range(2):
        get(client, n)
    cluster.check()


def test_when_all_replicas_are_corrupt_reads_fail_and_their_files_are_kept(start):
    cluster, client = start_with_objects(start, 2, CAIRN_SCRUB_PERIOD="200ms")
    flip(cluster, [0, 1])
    for n in range(2):
        wait_until(lambda n=n: len(quarantined(cluster, n)) == 2, "bad replicas to be set aside")
    for n in range(2):
        began = time.monotonic()
        with pytest.raises(REFUSALS):
            get(client, n)
        # Both nodes report their replica as corrupt, so a retry cannot help. Such reads took 104 s until they failed.
        assert time.monotonic() - began < 20
    wait_until(lambda: cluster.status()["missing"] == 2, "both blocks to be told as missing")
    kept = [quarantined(cluster, n) for n in range(2)]
    for node in cluster.datanodes:
        node.kill()
        node.restart()
    wait_until(lambda: cluster.status()["missing"] == 2, "both blocks to be told as missing")
    assert [quarantined(cluster, n) for n in range(2)] == kept
    # The quarantined files keep their lengths, so that a person can still recover data from them.
    assert all(path.stat().st_size >= LENGTHS[0] for paths in kept for path in paths)
    # Only deleting the objects removes the quarantined files.
    for n in range(2):
        client.delete_object(Bucket="bucket", Key=f"{n}")
    for n in range(2):
        wait_until(lambda n=n: quarantined(cluster, n) == [], "what was set aside to be deleted", 120)
    cluster.check()
