"""The commands of `cairn admin` that change nothing: status, node list and show, fsck, where, events. Tables and JSON."""

import json
import os
import re
import subprocess

import damage
import harness
import pytest
from data import MIB, some_bytes
from harness import run_cairn, wait_until


@pytest.fixture
def cluster(start):
    cluster = start("cluster", datanodes=3)
    cluster.client().create_bucket(Bucket="photos")
    return cluster


def ask(cluster, *args):
    """Runs `cairn admin`, whatever its exit code."""
    return run_cairn(["admin", *args, "--metanode", cluster.metanode.url], cluster.secret)


def complaint(done):
    """The only line of standard error of a command that failed."""
    assert done.returncode == 1, (done.stdout, done.stderr)
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("cairn: "), done.stderr
    return lines[0]


def where(cluster, key, *args):
    done = ask(cluster, "where", f"s3://photos/{key}", "--json", *args)
    return json.loads(done.stdout), done.returncode


def put(cluster, key, length, copies=3):
    """Stores an object and waits until it has all replicas: on a busy machine a write can commit with fewer, which repair adds."""
    answer = cluster.client().put_object(Bucket="photos", Key=key, Body=some_bytes(length))
    extents = lambda: where(cluster, key)[0]["extents"]  # noqa: E731
    wait_until(lambda: all(len(extent["replicas"]) == copies for extent in extents()), "all replicas")
    return answer["ETag"]


def test_status_begins_with_the_cluster_s_health_in_a_sentence(cluster):
    client = cluster.client()
    client.put_object(Bucket="photos", Key="a", Body=some_bytes(MIB))
    wait_until(lambda: ask(cluster, "status").stdout.startswith("Healthy: "), "health")
    text = cluster.admin("status")
    assert re.search(r"^datanodes +3 live$", text, re.M), text
    assert re.search(r"^blocks +1: 0 under-replicated, 0 missing", text, re.M), text
    for datanode in cluster.datanodes:
        assert datanode.url in text
    cluster.datanodes[0].kill()
    wait_until(lambda: "1 datanode dead" in ask(cluster, "status").stdout, "the loss to be told")
    assert ask(cluster, "status").stdout.startswith("At risk: 1 of 1 block "), ask(cluster, "status").stdout


def test_status_as_json_has_every_node_with_its_volumes(cluster):
    status = cluster.status()
    assert {node["address"] for node in status["nodes"]} == {d.url for d in cluster.datanodes}
    assert all(len(node["volumes"]) == 1 and node["admin_state"]["state"] == "in_service" for node in status["nodes"])
    listed = cluster.admin_json("node", "list")
    assert [node["node"] for node in listed] == [node["node"] for node in status["nodes"]]


def test_node_list_and_show_name_nodes_by_the_beginning_of_their_ids(cluster):
    table = cluster.admin("node", "list").splitlines()
    assert table[0].split()[:3] == ["NODE", "STATE", "ADMIN"]
    for row in table[1:]:
        short, address = row.split()[0], row.split()[-1]
        shown = cluster.admin_json("node", "show", short)
        assert shown["status"]["address"] == address
        assert cluster.admin_json("node", "show", address)["status"]["node"].startswith(short)
        assert shown["status"]["volumes"][0]["volume"] in cluster.admin("node", "show", short)


def test_an_unknown_node_is_refused_with_a_list_of_the_nodes(cluster):
    for command in (["show"], ["drain", "--yes"], ["can-stop"], ["remove", "--yes"], ["maintain", "--for", "1h"]):
        sentence = complaint(ask(cluster, "node", command[0], "nobody", *command[1:]))
        assert "there is no datanode nobody" in sentence
        assert all(datanode.url in sentence for datanode in cluster.datanodes)
    same_host = complaint(ask(cluster, "node", "show", ""))
    assert "there is no datanode" in same_host


def test_where_shows_version_blocks_and_datanodes(cluster):
    etag = put(cluster, "a b", 10 * MIB)
    found, code = where(cluster, "a b")
    assert code == 0 and found["verified"] is None
    assert found["length"] == 10 * MIB and found["etag"].strip('"') == etag.strip('"')
    assert [extent["offset"] for extent in found["extents"]] == [0, 8 * MIB]
    assert sum(extent["length"] for extent in found["extents"]) == 10 * MIB
    addresses = {datanode.url for datanode in cluster.datanodes}
    for extent in found["extents"]:
        assert {replica["address"] for replica in extent["replicas"]} == addresses
    table = cluster.admin("where", "s3://photos/a b")
    for extent in found["extents"]:
        assert re.search(rf"{extent['block']} .* {extent['crc32c']:08x} +3 of 3 ", table), table


def test_where_verify_reads_every_replica_and_names_its_volume(cluster):
    put(cluster, "a", 2 * MIB)
    found, code = where(cluster, "a", "--verify")
    assert code == 0
    volumes = {node["address"]: node["volumes"][0]["volume"] for node in cluster.status()["nodes"]}
    assert {r["address"]: r["volume"] for r in found["verified"]} == volumes
    assert all(replica["verdict"] == "good" for replica in found["verified"])
    assert "Good: 3 replicas read and checked." in cluster.admin("where", "s3://photos/a", "--verify")


def test_where_verify_reports_corrupt_and_unreachable_replicas(cluster):
    put(cluster, "a", 2 * MIB)
    good, corrupt, stopped = cluster.datanodes
    # Repair would replace the two bad replicas before they are verified.
    cluster.admin("worker", "pause", "repair")
    segment = damage.segments(cluster.data_directory(corrupt.name), MIB)[0]
    damage.flip_bit(segment)
    stopped.kill()
    found, code = where(cluster, "a", "--verify")
    assert code == 2
    verdicts = {replica["address"]: replica["verdict"] for replica in found["verified"]}
    assert verdicts == {good.url: "good", corrupt.url: "corrupt", stopped.url: "unreachable"}
    assert all(replica["detail"] for replica in found["verified"] if replica["verdict"] != "good")
    text = ask(cluster, "where", "s3://photos/a", "--verify")
    assert text.returncode == 2 and "Not good: " in text.stdout


def test_where_refuses_unknown_buckets_and_objects(cluster):
    assert "there is no bucket nobody" in complaint(ask(cluster, "where", "s3://nobody/a"))
    assert "no such object" in complaint(ask(cluster, "where", "s3://photos/nothing"))
    done = ask(cluster, "where", "photos/a")
    assert done.returncode == 2 and "s3://bucket/key" in done.stderr


def test_fsck_of_a_sound_cluster_is_clean(cluster):
    client = cluster.client()
    client.create_bucket(Bucket="videos")
    client.put_object(Bucket="photos", Key="a", Body=some_bytes(2 * MIB))
    client.put_object(Bucket="videos", Key="b", Body=some_bytes(9 * MIB))
    sentence = "Clean: 3 blocks looked at, nothing is wrong."
    wait_until(lambda: sentence in ask(cluster, "fsck").stdout, "a clean check")
    clean = wait_until(lambda: (done := ask(cluster, "fsck", "--json")).returncode == 0 and done, "another one")
    report = json.loads(clean.stdout)
    assert report["clean"] and report["problems"] == []
    sizes = {b["bucket"]: (b["objects"], b["bytes"], b["blocks"]["blocks"]) for b in report["buckets"]}
    assert sizes == {"photos": (1, 2 * MIB, 1), "videos": (1, 9 * MIB, 2)}
    assert report["blocks"]["blocks"] == 3
    one = cluster.admin_json("fsck", "--bucket", "s3://videos")
    assert [bucket["bucket"] for bucket in one["buckets"]] == ["videos"]


def test_fsck_ends_with_2_and_names_the_object_when_blocks_are_missing(start):
    cluster = start("cluster", datanodes=2, replication=2)
    client = cluster.client()
    client.create_bucket(Bucket="photos")
    client.put_object(Bucket="photos", Key="holiday.jpg", Body=some_bytes(MIB))
    for datanode in cluster.datanodes:
        datanode.kill()
    wait_until(lambda: cluster.status()["missing"] == 1, "the loss to be noticed")
    done = ask(cluster, "fsck", "--json")
    assert done.returncode == 2, done.stderr
    report = json.loads(done.stdout)
    assert not report["clean"] and report["blocks"]["missing"] == 1
    problem = report["problems"][0]
    assert (problem["kind"], problem["bucket"], problem["key"]) == ("missing", "photos", "holiday.jpg")
    text = ask(cluster, "fsck").stdout
    assert "of s3://photos/holiday.jpg" in text and problem["advice"] in text
    assert "Problems were found: 1 block without any good replica" in text


def test_fsck_refuses_an_unknown_bucket(cluster):
    assert "there is no bucket nobody" in complaint(ask(cluster, "fsck", "--bucket", "nobody"))


def test_events_are_lines_that_can_be_read_and_end_unless_followed(cluster):
    lines = cluster.admin("events").splitlines()
    assert any(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]+Z +\d+  node registered +incarnation 1, node \S+", line) for line in lines)
    events = [json.loads(line) for line in cluster.admin("events", "--json").splitlines()]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    later = cluster.admin("events", "--json", "--after", str(events[-2]["sequence"])).splitlines()
    assert json.loads(later[0]) == events[-1]
    with cluster.events() as followed:
        cluster.datanodes[0].kill()
        followed.wait_for("NodeDead")


def test_the_settings_of_a_bucket_are_kept_and_hold_for_new_objects(cluster):
    assert cluster.admin_json("bucket", "show", "s3://photos")["replication"] is None
    cluster.admin("bucket", "set", "s3://photos", "--replication", "2")
    after = cluster.admin_json("bucket", "set", "photos", "--block-size", "1MiB")
    assert (after["replication"], after["block_size"]) == (2, MIB)
    put(cluster, "a", 3 * MIB, copies=2)
    found, _ = where(cluster, "a")
    assert [(e["length"], len(e["replicas"])) for e in found["extents"]] == [(MIB, 2)] * 3
    back = cluster.admin_json("bucket", "set", "photos", "--replication", "default", "--block-size", "default")
    assert (back["replication"], back["effective_replication"], back["effective_block_size"]) == (None, 3, 8 * MIB)
    assert "the cluster's default" in cluster.admin("bucket", "show", "photos")
    assert "there is no bucket nobody" in complaint(ask(cluster, "bucket", "show", "nobody"))


def test_admin_of_cairn_server_needs_only_its_data_directory(start):
    store = start("server", datanodes=3)
    client = store.client()
    client.create_bucket(Bucket="photos")
    client.put_object(Bucket="photos", Key="a", Body=some_bytes(2 * MIB))
    directory = ["--data-dir", str(store.directory / "data")]

    def admin(*args):
        return run_cairn(["admin", *args, *directory])

    wait_until(lambda: admin("status").stdout.startswith("Healthy: "), "health")
    wait_until(lambda: admin("fsck").returncode == 0, "a clean check")
    done = admin("where", "s3://photos/a", "--verify", "--json")
    assert done.returncode == 0, done.stderr
    verdicts = [replica["verdict"] for replica in json.loads(done.stdout)["verified"]]
    assert verdicts == ["good"] * 3
    # --data-dir is ./cairn-data by default.
    (store.directory / "cairn-data").symlink_to(store.directory / "data")
    done = run_cairn(["admin", "node", "list"], directory=store.directory)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 4, done.stderr


@pytest.mark.parametrize("command", [["status"], ["fsck"], ["events"], ["credentials"], ["where", "s3://b/k"]])
def test_an_unreachable_metanode_is_reported_in_one_sentence(cluster, command):
    cluster.metanode.kill()
    sentence = complaint(ask(cluster, *command))
    assert cluster.metanode.url in sentence and "see that it runs" in sentence
    assert "Connection refused" in sentence and "error sending request" not in sentence


def test_a_wrong_cluster_secret_is_reported_in_one_sentence(cluster):
    for command in (["status"], ["events"], ["credentials"]):
        other = {"CAIRN_CLUSTER_SECRET": "x" * 32}
        done = run_cairn(["admin", *command, "--metanode", cluster.metanode.url], other)
        assert "--cluster-secret-file" in complaint(done)


def test_without_a_server_the_error_names_the_options_for_one(tmp_path):
    sentence = complaint(run_cairn(["admin", "status"], directory=tmp_path))
    assert "--metanode" in sentence and "--data-dir" in sentence


def test_events_ends_without_an_error_when_its_output_is_closed(cluster):
    """As `cairn admin events | head -n 1` does: the command must end without an error when its output is closed."""
    command = [harness.BINARY, "admin", "events", "--follow", "--metanode", cluster.metanode.url]
    with subprocess.Popen(
        command, env=os.environ | cluster.secret, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline()
        child.stdout.close()
        # The command writes the events of this death into a closed pipe.
        cluster.datanodes[0].kill()
        assert child.wait(60) == 0
        assert child.stderr.read() == ""
