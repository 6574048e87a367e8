"""Full disks: writes get 503, reads succeed, nothing is lost, and writes succeed again when there is space."""

import botocore.exceptions
import disks
import pytest
from data import MIB, some_bytes
from errors import s3_error
from harness import wait_until

SMALL_DISK = 64 * MIB
ENV = {"CAIRN_RESERVE": "8MiB", "CAIRN_GC_GRACE": "3s", "CAIRN_LEASE": "3s"}
LENGTHS = [100_000, 6 * MIB]


def body(n):
    return some_bytes(LENGTHS[n % 2], n)


def put(client, n):
    client.put_object(Bucket="bucket", Key=f"{n}", Body=body(n))


def get(client, n):
    assert client.get_object(Bucket="bucket", Key=f"{n}")["Body"].read() == body(n)


def put_or_refused(client, n):
    """Puts an object. Returns False if the write was refused with a 503 that S3 clients retry."""
    try:
        put(client, n)
    except botocore.exceptions.ClientError as error:
        answer = error.response
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 503, answer
        assert answer["Error"]["Code"] in ("ServiceUnavailable", "SlowDown"), answer
        return False
    return True


def start_on(start, mounted, **options):
    cluster = start("cluster", directories=mounted, env=ENV, **options)
    wait_until(lambda: len(cluster.status()["nodes"]) == len(cluster.datanodes), "all nodes")
    client = cluster.client(read_timeout=300)
    client.create_bucket(Bucket="bucket")
    return cluster, client


def failed(cluster):
    return [v for node in cluster.status()["nodes"] for v in node["volumes"] if v["failed"]]


def test_while_one_node_is_full_the_others_take_everything(tmp_path, start):
    with disks.small(tmp_path, {"datanode0": SMALL_DISK}) as mounted:
        cluster, client = start_on(start, mounted, datanodes=3, replication=2)
        for n in range(20):
            put(client, n)
        # Another program uses up the reserve of the full disk, too.
        disks.fill(mounted["datanode0"])
        for n in range(20, 30):
            put(client, n)
        for n in range(30):
            get(client, n)
        # A full disk does not count as failed, and blocks on it can be deleted.
        assert failed(cluster) == []
        for n in range(30):
            client.delete_object(Bucket="bucket", Key=f"{n}")
        wait_until(lambda: cluster.status()["blocks"] == 0, "no block to be left", 120)
        cluster.check()


def test_when_all_nodes_are_full_writes_get_503_and_resume_later(tmp_path, start):
    sizes = {f"datanode{n}": SMALL_DISK for n in range(3)}
    with disks.small(tmp_path, sizes) as mounted:
        cluster, client = start_on(start, mounted, datanodes=3)
        stored = []
        for n in range(60):
            if not put_or_refused(client, n):
                break
            stored.append(n)
        assert 4 <= len(stored) < 60
        for n in stored:
            get(client, n)
        assert failed(cluster) == []
        # Deleting the first half, which has large objects too, frees space.
        for n in stored[: len(stored) // 2]:
            client.delete_object(Bucket="bucket", Key=f"{n}")
        stored = stored[len(stored) // 2 :]
        wait_until(lambda: put_or_refused(client, 101), "writing to resume", 240)
        for n in [*stored, 101]:
            get(client, n)
        cluster.check()


@pytest.mark.parametrize("ends", ["by itself", "with a restart"])
def test_when_the_metanodes_disk_is_full_reads_go_on_and_nothing_is_lost(tmp_path, start, ends):
    with disks.small(tmp_path, {"metanode": SMALL_DISK}) as mounted:
        cluster, client = start_on(start, mounted, datanodes=3)
        for n in range(10):
            put(client, n)
        give_back = disks.fill(mounted["metanode"])
        stored = list(range(10))
        # SQLite's write-ahead log may still have space of its own for some writes.
        for n in range(10, 500):
            if not put_or_refused(client, n):
                break
            stored.append(n)
        else:
            raise AssertionError("a full disk took everything")
        with s3_error("ServiceUnavailable", 503):
            client.create_bucket(Bucket="another-bucket")
        for n in stored:
            get(client, n)
        listed = client.list_objects_v2(Bucket="bucket")
        assert {entry["Key"] for entry in listed["Contents"]} == {f"{n}" for n in stored}
        give_back()
        if ends == "with a restart":
            cluster.metanode.kill()
            cluster.metanode.restart()
        wait_until(lambda: put_or_refused(client, 1001), "writing to resume", 120)
        for n in [*stored, 1001]:
            get(client, n)
        cluster.check()
