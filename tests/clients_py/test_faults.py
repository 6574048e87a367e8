"""Datanodes that die: no client gets an error, every byte verifies, and the lost replicas are restored."""

import concurrent.futures
import hashlib
import threading

import pytest
from data import MIB, some_bytes
from harness import wait_until

LENGTH = 24 * MIB


def body(n):
    return some_bytes(LENGTH, n)


def put(client, n):
    answer = client.put_object(Bucket="bucket", Key=f"{n}", Body=body(n))
    assert answer["ETag"] == f'"{hashlib.md5(body(n)).hexdigest()}"'


def get(client, n):
    assert client.get_object(Bucket="bucket", Key=f"{n}")["Body"].read() == body(n)


def node_states(cluster):
    return sorted(node["state"] for node in cluster.status()["nodes"])


@pytest.fixture
def cluster(start):
    cluster = start("cluster", datanodes=3)
    cluster.client().create_bucket(Bucket="bucket")
    return cluster


def during(count, work, action):
    """Runs `work(n)` in threads, and `action` when a third of the calls have ended and others are in progress."""
    third = threading.Semaphore(0)

    def counted(n):
        work(n)
        third.release()

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(counted, n) for n in range(count)]
        for _ in range(count // 3):
            if not third.acquire(timeout=120):
                break
        action()
        for future in futures:
            future.result()


def test_a_datanode_killed_in_the_middle_of_uploads(cluster):
    client = cluster.client()
    during(18, lambda n: put(client, n), cluster.datanodes[1].kill)
    for n in range(18):
        get(client, n)


def test_a_datanode_killed_in_the_middle_of_downloads(cluster):
    client = cluster.client()
    for n in range(6):
        put(client, n)
    during(36, lambda n: get(client, n % 6), cluster.datanodes[0].kill)
    cluster.check()


def test_a_download_under_way_goes_on_from_another_replica(cluster):
    client = cluster.client()
    put(client, 1)
    # A first read opens a connection to a datanode. Then the datanodes are killed one after another.
    stream = client.get_object(Bucket="bucket", Key="1")["Body"]
    read = stream.read(100_000)
    cluster.datanodes[0].kill()
    read += stream.read(9 * MIB)
    cluster.datanodes[1].kill()
    read += stream.read()
    assert read == body(1)


def test_replication_is_restored_on_the_nodes_that_are_left(start):
    cluster = start("cluster", datanodes=4)
    client = cluster.client()
    client.create_bucket(Bucket="bucket")
    during(12, lambda n: put(client, n), cluster.datanodes[2].kill)
    with cluster.events() as events:
        events.wait_for("NodeDead")
    wait_until(cluster.fully_replicated, "three replicas of every block", 120)
    # The objects stay readable without another node, so the new replicas are good.
    cluster.datanodes[0].kill()
    for n in range(12):
        get(client, n)


def test_a_node_that_returns_is_used_again(cluster):
    client = cluster.client()
    put(client, 1)
    cluster.datanodes[1].kill()
    wait_until(lambda: node_states(cluster) == ["dead", "live", "live"], "the node to be dead")
    put(client, 2)
    assert not cluster.fully_replicated()
    cluster.datanodes[1].restart()
    wait_until(lambda: node_states(cluster) == ["live"] * 3, "the node to be live")
    wait_until(cluster.fully_replicated, "three replicas of every block", 120)
    # The returned node has all replicas: it serves the objects alone.
    cluster.datanodes[0].kill()
    cluster.datanodes[2].kill()
    get(client, 1)
    get(client, 2)


def test_acknowledged_writes_survive_sigkill_of_everything(cluster):
    client = cluster.client()
    for n in range(5):
        put(client, n)
    parts = [cluster.metanode, *cluster.datanodes, *cluster.gateways]
    for part in parts:
        part.kill()
    for part in parts:
        part.restart()
    client = cluster.client()
    wait_until(lambda: node_states(cluster) == ["live"] * 3, "all nodes to be live")
    for n in range(5):
        get(client, n)
    put(client, 6)
    get(client, 6)


def test_a_metanode_killed_and_restarted_in_the_middle_of_uploads(cluster):
    # Writes fail while the metanode is down. Each must fail with an error or be readable afterwards.
    client = cluster.client()
    stored = []

    def try_put(n):
        try:
            put(client, n)
        except Exception:  # noqa: BLE001 - any error is right while the metanode is away
            return
        stored.append(n)

    def restart():
        cluster.metanode.kill()
        cluster.metanode.restart()

    during(12, try_put, restart)
    wait_until(lambda: node_states(cluster) == ["live"] * 3, "all nodes to be live")
    assert stored
    for n in stored:
        get(client, n)
    put(client, 100)
    get(client, 100)


def test_a_write_with_too_few_datanodes_gets_503(cluster):
    client = cluster.client(read_timeout=60)
    put(client, 1)
    cluster.datanodes[0].kill()
    cluster.datanodes[1].kill()
    wait_until(lambda: node_states(cluster).count("dead") == 2, "two nodes to be dead")
    with pytest.raises(client.exceptions.ClientError) as error:
        put(client, 2)
    # AWS: a client retries after 503.
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    get(client, 1)


def test_deleted_blocks_leave_the_disks(start):
    cluster = start("cluster", datanodes=3, env={"CAIRN_GC_GRACE": "3s", "CAIRN_LEASE": "3s"})
    client = cluster.client()
    client.create_bucket(Bucket="bucket")
    for n in range(4):
        put(client, n)

    def used():
        return sum(v["used"] for node in cluster.status()["nodes"] for v in node["volumes"])

    wait_until(lambda: used() >= 3 * 4 * LENGTH, "the space to be reported as used")
    for n in range(4):
        client.delete_object(Bucket="bucket", Key=f"{n}")
    wait_until(lambda: cluster.status()["blocks"] == 0, "no block to be left")
    wait_until(lambda: used() < LENGTH, "the space to be free again")
