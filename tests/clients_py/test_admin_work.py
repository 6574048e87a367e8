"""`cairn admin worker`, `scrub` and `balance`: showing and controlling the work in the background."""

import json

import damage
import pytest
from data import MIB, some_bytes
from harness import run_cairn, wait_until

WORKERS = {"liveness", "repair", "drain", "balance", "placement", "garbage", "leases", "uploads", "lifecycle", "pack", "scrub"}


def ask(cluster, *args):
    return run_cairn(["admin", *args, "--metanode", cluster.metanode.url], cluster.secret)


@pytest.fixture
def cluster(start):
    cluster = start("cluster", datanodes=3)
    client = cluster.client()
    client.create_bucket(Bucket="photos")
    for n in range(3):
        client.put_object(Bucket="photos", Key=f"{n}", Body=some_bytes(2 * MIB, n))
    return cluster


def worker(cluster, name):
    (found,) = [w for w in cluster.admin_json("worker", "list") if w["worker"] == name]
    return found


def test_all_workers_are_shown_in_their_list_and_in_status(cluster):
    assert {w["worker"] for w in cluster.admin_json("worker", "list")} == WORKERS
    assert {w["worker"] for w in cluster.status()["workers"]} == WORKERS
    for table in (cluster.admin("worker", "list"), cluster.admin("status")):
        assert WORKERS <= {line.split()[0] for line in table.splitlines() if line.strip()}


def test_a_paused_worker_does_nothing_until_it_is_resumed_even_after_a_restart(cluster):
    cluster.admin("worker", "pause", "repair")
    cluster.admin("worker", "set", "drain", "--rate", "1MiB/s")
    cluster.metanode.stop()
    cluster.metanode.restart()
    assert worker(cluster, "repair")["settings"]["paused"]
    assert worker(cluster, "drain")["rate"] == MIB
    assert "repair is paused" in cluster.admin("status")
    with cluster.events() as events:
        lost = cluster.node(cluster.datanodes[0])["node"]
        cluster.datanodes[0].kill()
        events.wait_for("NodeDead", node=lost)
    cluster.add_datanode()
    assert cluster.status()["under_replicated"] == 3
    assert worker(cluster, "repair")["activity"] == "paused"
    cluster.admin("worker", "resume", "repair")
    cluster.admin("worker", "set", "drain", "--default-rate")
    assert worker(cluster, "drain")["rate"] == 128 * MIB
    wait_until(lambda: cluster.status()["under_replicated"] == 0, "the repair")


def test_liveness_cannot_be_paused(cluster):
    done = ask(cluster, "worker", "pause", "liveness")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr


def test_a_scrub_that_is_waited_for_has_read_everything(cluster):
    done = ask(cluster, "scrub", "start", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    rounds = json.loads(done.stdout)
    assert len(rounds) == 3
    assert all(r["progress"]["finished_round"] >= r["asked_at"] and r["progress"]["corrupt"] == 0 for r in rounds)
    table = cluster.admin("scrub", "status").splitlines()
    assert table[0].split()[0] == "NODE" and len(table) == 4
    one = ask(cluster, "scrub", "start", "--node", cluster.datanodes[0].url)
    assert one.returncode == 0 and "1 datanode" in one.stdout


def test_a_scrub_that_finds_damage_ends_with_2(cluster):
    damage.flip_bit(damage.segments(cluster.data_directory("datanode1"), MIB)[0])
    done = ask(cluster, "scrub", "start", "--wait", "--json")
    assert done.returncode == 2, done.stderr
    assert sum(r["progress"]["corrupt"] for r in json.loads(done.stdout)) == 1


def test_a_scrub_does_not_wait_for_dead_datanodes(cluster):
    dead = cluster.node(cluster.datanodes[0])
    cluster.datanodes[0].kill()
    wait_until(lambda: cluster.node(cluster.datanodes[0])["state"] == "dead", "its death")
    done = ask(cluster, "scrub", "start", "--wait")
    assert done.returncode == 0, done.stderr
    assert dead["node"][:8] in done.stderr and "not waited for" in done.stderr


def test_balancing_moves_blocks_to_an_empty_datanode_and_rests(start):
    """The disks are small, so that a few blocks move utilisation past the balance threshold."""
    small = {"CAIRN_CAPACITY": "64MiB", "CAIRN_RESERVE": "0", "CAIRN_BLOCK_SIZE": "1MiB"}
    cluster = start("cluster", datanodes=2, replication=1, env=small)
    cluster.admin("balance", "stop")
    client = cluster.client()
    client.create_bucket(Bucket="photos")
    for n in range(24):
        client.put_object(Bucket="photos", Key=f"{n}", Body=some_bytes(MIB, n))
    empty = cluster.add_datanode()
    wait_until(lambda: cluster.admin_json("balance", "status")["nodes_outside"] > 0, "the imbalance")
    assert cluster.admin("balance", "status").startswith("Not balancing: ")
    plan = ask(cluster, "balance", "start", "--dry-run", "--threshold", "30%", "--rate", "50MiB/s", "--json")
    planned = json.loads(plan.stdout)
    assert planned["threshold_permille"] == 300 and planned["rate"] == 50 * MIB
    unchanged = cluster.admin_json("balance", "status")
    assert not unchanged["running"] and unchanged["threshold_permille"] == 100
    assert cluster.node(empty)["replicas"] == 0
    cluster.admin("balance", "start", "--threshold", "30%", "--rate", "50MiB/s")
    wait_until(lambda: cluster.node(empty)["replicas"] > 0, "blocks to be moved")
    wait_until(lambda: cluster.admin("balance", "status").startswith("Balanced: "), "the balance")
    moved = cluster.admin_json("balance", "status")
    assert moved["running"] and moved["bytes_moved"] > 0
    cluster.admin("balance", "stop")
    assert not cluster.admin_json("balance", "status")["running"]
    for n in range(24):
        assert client.get_object(Bucket="photos", Key=f"{n}")["Body"].read() == some_bytes(MIB, n)
