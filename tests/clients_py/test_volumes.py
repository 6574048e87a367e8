"""Disks of a datanode that fail: the node continues with its other disks, and repair restores the lost replicas."""

import subprocess

import disks
import pytest
import requests
from data import MIB, some_bytes
from harness import run_cairn, wait_until

# Small blocks share a segment, large ones have dedicated segments.
LENGTHS = [50_000, 2 * MIB]
OBJECTS = 12


def body(n):
    return some_bytes(LENGTHS[n % 2], n)


def put(client, n):
    client.put_object(Bucket="bucket", Key=f"{n}", Body=body(n))


def get(client, n):
    assert client.get_object(Bucket="bucket", Key=f"{n}")["Body"].read() == body(n)


def volumes(cluster, datanode):
    return cluster.node(datanode)["volumes"]


def failed(cluster, datanode):
    """The reasons of the datanode's failed volumes."""
    return [volume["failed"] for volume in volumes(cluster, datanode) if volume["failed"]]


def unmount(directory):
    """Simulates a pulled disk: paths below the directory are not found any more, even while files there are open."""
    subprocess.run(["umount", "--lazy", directory], check=True)
    # `disks.small` unmounts the directory again at the end.
    subprocess.run(["mount", "--bind", directory, directory], check=True)


@pytest.fixture
def two_disks(tmp_path, start):
    """A cluster of four nodes, the last of which has two disks, with objects on all of them."""
    # All disks have the same size, so that each gets a share of the blocks.
    names = ["first", "second", "datanode0", "datanode1", "datanode2"]
    with disks.small(tmp_path, {name: 128 * MIB for name in names}) as mounted:
        env = {"CAIRN_RESERVE": "4MiB"}
        cluster = start("cluster", datanodes=3, directories=mounted, env=env)
        node = cluster.add_datanode(mounted["first"], mounted["second"])
        wait_until(lambda: len(cluster.status()["nodes"]) == 4, "four nodes")
        client = cluster.client()
        client.create_bucket(Bucket="bucket")
        for n in range(OBJECTS):
            put(client, n)
        wait_until(cluster.fully_replicated, "three replicas of every block", 120)
        yield cluster, client, node, mounted


def test_a_pulled_disk_is_noticed_and_its_blocks_are_copied_again(two_disks):
    cluster, client, node, mounted = two_disks
    # New blocks go to disks by free space, so both disks get some.
    objects = OBJECTS
    while not all(volume["used"] > 0 for volume in volumes(cluster, node)):
        put(client, objects := objects + 1)
        assert objects < 100, "all blocks on one disk"
    unmount(mounted["second"])
    with cluster.events() as events:
        events.wait_for("VolumeFailed", node=cluster.node(node)["node"])
        # The metanode now counts the replicas of the failed volume as lost.
        events.wait_for("ReplicaCorrupt", node=cluster.node(node)["node"])
    wait_until(lambda: len(failed(cluster, node)) == 1, "one volume to be told as failed")
    wait_until(cluster.fully_replicated, "three replicas of every block", 120)
    for n in range(OBJECTS + 1, objects + 4):
        put(client, n)
    wait_until(cluster.fully_replicated, "three replicas of every block", 120)
    # Two other nodes are killed. Every object must still be readable from the two that are left.
    cluster.datanodes[0].kill()
    cluster.datanodes[1].kill()
    for n in [*range(OBJECTS), *range(OBJECTS + 1, objects + 4)]:
        get(client, n)


def test_a_disk_that_is_not_mounted_at_the_start_counts_as_failed(two_disks):
    cluster, client, node, mounted = two_disks
    was = {volume["volume"] for volume in volumes(cluster, node)}
    assert node.stop() == 0
    subprocess.run(["umount", "--lazy", mounted["second"]], check=True)
    node.restart()
    reasons = wait_until(lambda: failed(cluster, node), "a volume to be told as failed")
    assert "is its disk mounted?" in reasons[0]
    assert {volume["volume"] for volume in volumes(cluster, node)} == was
    # The datanode created nothing but a lock in the directory below the mount point.
    assert [path.name for path in mounted["second"].iterdir()] in ([], ["lock"])
    wait_until(cluster.fully_replicated, "three replicas of every block", 120)
    # The datanode uses a new, empty disk in its place.
    assert node.stop() == 0
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64M", "cairn-test", mounted["second"]], check=True)
    node.restart()
    wait_until(lambda: failed(cluster, node) == [] and len(volumes(cluster, node)) == 2, "two good volumes")
    assert {volume["volume"] for volume in volumes(cluster, node)} != was
    for n in range(OBJECTS):
        get(client, n)


def test_a_node_whose_last_disk_is_pulled_keeps_running_and_is_unhealthy(two_disks):
    cluster, client, node, mounted = two_disks
    for name in ("first", "second"):
        unmount(mounted[name])
    wait_until(lambda: len(failed(cluster, node)) == 2, "both volumes to be told as failed")
    assert sum(volume["capacity"] for volume in volumes(cluster, node)) == 0
    assert requests.get(f"{node.url}/health", timeout=30).status_code == 503
    assert "no volume is left" in node.log()
    for n in range(OBJECTS):
        get(client, n)
    put(client, 100)
    get(client, 100)
    assert node.running()


def test_directories_of_two_nodes_are_refused_together(start):
    cluster = start("cluster", datanodes=2)
    wait_until(lambda: len(cluster.status()["nodes"]) == 2, "two nodes")
    directories = [str(cluster.data_directory(f"datanode{n}")) for n in range(2)]
    for node in cluster.datanodes:
        node.stop()
    args = ["datanode", "--data-dir", ",".join(directories), "--listen", "127.0.0.1:0"]
    done = run_cairn([*args, "--metanode", cluster.metanode.url], cluster.secret)
    assert done.returncode != 0
    assert f"{directories[1]} belongs to datanode" in done.stderr + done.stdout
