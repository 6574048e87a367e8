"""`cairn admin node`: drain, maintain, return, can-stop, remove. Destructive commands need consent."""

import json
import os
import pty
import subprocess

import harness
import pytest
from data import MIB, some_bytes
from harness import run_cairn, wait_until


def ask(cluster, *args):
    return run_cairn(["admin", "node", *args, "--metanode", cluster.metanode.url], cluster.secret)


def complaint(done):
    assert done.returncode == 1, (done.stdout, done.stderr)
    return done.stderr


def admin_state(cluster, datanode):
    return cluster.node(datanode)["admin_state"]["state"]


def holders(cluster, key):
    found = cluster.admin_json("where", f"s3://photos/{key}")
    return [{replica["address"] for replica in extent["replicas"]} for extent in found["extents"]]


def fill(cluster, objects=3):
    client = cluster.client()
    client.create_bucket(Bucket="photos")
    for n in range(objects):
        client.put_object(Bucket="photos", Key=f"{n}", Body=some_bytes(MIB, n))
    status = cluster.status
    wait_until(lambda: status()["blocks"] == objects and status()["under_replicated"] == 0, "all replicas")
    return client


@pytest.fixture
def four(start):
    cluster = start("cluster", datanodes=4)
    fill(cluster)
    return cluster


@pytest.fixture
def three(start):
    cluster = start("cluster", datanodes=3)
    fill(cluster)
    return cluster


def test_a_datanode_is_drained_stopped_and_removed(four):
    leaving = four.datanodes[0]
    done = ask(four, "drain", leaving.url, "--yes", "--wait")
    assert done.returncode == 0, done.stderr
    assert "is drained: it can be stopped and removed" in done.stdout
    assert admin_state(four, leaving) == "draining" and four.node(leaving)["replicas"] == 0
    for n in range(3):
        assert all(len(nodes) == 3 and leaving.url not in nodes for nodes in holders(four, n))
    wait_until(lambda: ask(four, "can-stop", leaving.url).returncode == 0, "it to be safe")
    leaving.stop()
    done = ask(four, "remove", leaving.url, "--yes")
    assert done.returncode == 0 and "is removed" in done.stdout, done.stderr
    wait_until(lambda: four.node(leaving) is None, "the datanode to be gone from the list")
    assert "there is no datanode" in complaint(ask(four, "show", leaving.url))


def test_a_dry_run_reports_what_would_happen_and_changes_nothing(four):
    leaving = four.datanodes[0]
    plan = ask(four, "drain", leaving.url, "--dry-run")
    assert plan.returncode == 0 and f"({leaving.url}) moves " in plan.stdout
    report = json.loads(ask(four, "drain", leaving.url, "--dry-run", "--json").stdout)
    assert (report["before"]["state"], report["after"]["state"]) == ("in_service", "draining")
    assert report["progress"]["blocks"] == four.node(leaving)["replicas"]
    ask(four, "maintain", leaving.url, "--for", "2h", "--dry-run")
    assert admin_state(four, leaving) == "in_service"


def test_without_a_terminal_a_drain_needs_the_option_yes(four):
    leaving = four.datanodes[0]
    done = ask(four, "drain", leaving.url)
    assert "moves " in done.stdout and "add --yes" in complaint(done)
    assert admin_state(four, leaving) == "in_service"


@pytest.mark.parametrize(("answer", "after"), [("n\n", "in_service"), ("\n", "in_service"), ("y\n", "draining")])
def test_at_a_terminal_a_drain_asks_for_consent(four, answer, after):
    leaving = four.datanodes[0]
    terminal, end = pty.openpty()
    command = [harness.BINARY, "admin", "node", "drain", leaving.url, "--metanode", four.metanode.url]
    with subprocess.Popen(
        command, env=os.environ | four.secret, stdin=end, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        os.write(terminal, answer.encode())
        out, err = child.communicate(timeout=60)
    os.close(terminal)
    os.close(end)
    assert "moves " in out and "Go on? [y/N]" in err
    assert child.returncode == (0 if after == "draining" else 1)
    assert admin_state(four, leaving) == after


def test_a_drain_that_is_stuck_says_why_and_can_be_taken_back(three):
    leaving = three.datanodes[0]
    plan = json.loads(ask(three, "drain", leaving.url, "--dry-run", "--json").stdout)
    assert plan["progress"]["obstacles"][0]["reason"], plan
    done = ask(three, "drain", leaving.url, "--yes", "--wait", "--timeout", "1s")
    assert done.returncode == 2, done.stderr
    assert "is still draining: 3 blocks" in done.stdout
    assert "Held up: 3 blocks" in done.stdout and "Held up: 3 blocks" in done.stderr
    shown = three.admin_json("node", "show", leaving.url)
    assert shown["progress"]["obstacles"] and not shown["progress"]["drained"]
    assert "Held up: 3 blocks" in three.admin("node", "show", leaving.url)
    back = ask(three, "return", leaving.url)
    assert back.returncode == 0 and "is in service (it was: draining)" in back.stdout
    assert admin_state(three, leaving) == "in_service"


def test_maintenance_ends_by_itself_or_by_return(three):
    away = three.datanodes[0]
    done = ask(three, "maintain", away.url, "--for", "2h")
    assert done.returncode == 0 and "is in maintenance until " in done.stdout
    assert admin_state(three, away) == "maintenance"
    assert "maintenance until " in three.admin("status")
    ask(three, "return", away.url)
    assert admin_state(three, away) == "in_service"
    with three.events() as events:
        ask(three, "maintain", away.url, "--for", "50ms")
        events.wait_for("MaintenanceExpired", node=three.node(away)["node"])
    wait_until(lambda: admin_state(three, away) == "in_service", "the end of maintenance")
    assert "30 days" in complaint(ask(three, "maintain", away.url, "--for", "1y"))
    assert ask(three, "maintain", away.url).returncode == 2


def test_can_stop_answers_with_its_exit_code_and_with_reasons(three):
    one, two, _ = three.datanodes
    # On a busy machine a datanode can be stale for a moment, and is then no target for writes.
    wait_until(lambda: ask(three, "can-stop", one.url).stdout.startswith("Safe: "), "it to be safe")
    # Stopping two of three is not safe: a write needs two datanodes.
    unsafe = ask(three, "can-stop", one.url, two.url)
    assert unsafe.returncode == 2 and unsafe.stdout.startswith("Not safe:\n- "), unsafe.stdout
    all_of_them = ask(three, "can-stop", *[d.url for d in three.datanodes], "--json")
    report = json.loads(all_of_them.stdout)
    assert all_of_them.returncode == 2 and not report["safe"]
    assert (report["unreadable"], report["writable_nodes"]) == (3, 0)
    # The command only reports: it stops no datanode.
    assert all(datanode.running() for datanode in three.datanodes)


def test_a_datanode_in_use_is_not_removed_and_last_replicas_are_given_up_only_by_force(start):
    cluster = start("cluster", datanodes=2, replication=1)
    client = fill(cluster, objects=1)
    (holder,) = holders(cluster, 0)[0]
    kept = next(d for d in cluster.datanodes if d.url == holder)
    assert "in use" in complaint(ask(cluster, "remove", holder, "--yes"))
    kept.kill()
    wait_until(lambda: cluster.node(kept)["state"] == "dead", "the death to be noticed")
    plan = ask(cluster, "remove", holder, "--dry-run")
    assert "1 block has its LAST one there" in plan.stdout
    assert "--force" in complaint(ask(cluster, "remove", holder, "--yes"))
    assert cluster.node(kept) is not None
    assert "add --yes" in complaint(ask(cluster, "remove", holder, "--force"))
    done = ask(cluster, "remove", holder, "--force", "--yes", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["last_replicas"] == 1, done.stderr
    wait_until(lambda: cluster.node(kept) is None, "the datanode to be gone")
    assert client.head_object(Bucket="photos", Key="0")["ContentLength"] == MIB


def test_a_datanode_of_a_server_in_one_process_is_drained_too(start):
    store = start("server", datanodes=4)
    client = store.client()
    client.create_bucket(Bucket="photos")
    client.put_object(Bucket="photos", Key="a", Body=some_bytes(MIB))
    # Three of the four datanodes hold a replica, so the fourth can take the replica of the drained one.
    directory = ["--data-dir", str(store.directory / "data")]
    node = json.loads(run_cairn(["admin", "node", "list", "--json", *directory]).stdout)[0]["node"]
    done = run_cairn(["admin", "node", "drain", node[:13], "--yes", "--wait", *directory])
    assert done.returncode == 0 and "is drained" in done.stdout, done.stderr
    done = run_cairn(["admin", "where", "s3://photos/a", "--verify", "--json", *directory])
    replicas = json.loads(done.stdout)["verified"]
    assert done.returncode == 0 and node not in {replica["node"] for replica in replicas}
    assert client.get_object(Bucket="photos", Key="a")["Body"].read() == some_bytes(MIB)
