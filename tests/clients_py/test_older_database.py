"""A metanode that starts on an older state of its database: no block that was written since is lost."""

import shutil
import time

import pytest
from data import some_bytes
from harness import run_cairn, wait_until

# Short leases, so that they expire within seconds.
TIMINGS = {
    "CAIRN_LEASE": "3s",
    "CAIRN_LEASE_SLACK": "2s",
    "CAIRN_WORKER_INTERVAL": "200ms",
    "CAIRN_REPORT_AGE": "1s",
}
FILES = ["metanode.db", "metanode.db-wal"]


@pytest.fixture
def cluster(start):
    cluster = start("cluster", datanodes=3, env=TIMINGS)
    cluster.client().create_bucket(Bucket="bucket")
    return cluster


def database(cluster):
    return cluster.data_directory("metanode")


def save(cluster, name, files=FILES):
    """Copies the database's files while the metanode runs, as an operator might."""
    target = cluster.directory / name
    target.mkdir()
    for file in files:
        if (database(cluster) / file).exists():
            shutil.copy(database(cluster) / file, target / file)
    return target


def put_back(cluster, saved):
    """Stops the metanode, starts it on the saved files, and waits until all datanodes have reported."""
    cluster.metanode.stop()
    for file in [*FILES, "metanode.db-shm"]:
        (database(cluster) / file).unlink(missing_ok=True)
    for file in saved.iterdir():
        shutil.copy(file, database(cluster) / file.name)
    reports = cluster.metanode.log().count("a datanode registered")
    cluster.metanode.restart()
    wait_until(
        lambda: cluster.metanode.log().count("a datanode registered") >= reports + 3,
        "all datanodes to register",
    )
    wait_until(lambda: not cluster.admin_json("hold", "status")["awaited"], "all datanodes to report")


def put(cluster, *keys):
    for n, key in enumerate(keys):
        cluster.client().put_object(Bucket="bucket", Key=key, Body=some_bytes(100_000 + n, n))


def wait_until_datanodes_heard(cluster):
    """Waits until every datanode has received an answer to a heartbeat, and so knows the current generation of the database.
    A second heartbeat shows that the datanode has received the answer to the first one."""
    for _ in range(2):
        began = time.monotonic()

        def heard(began=began):
            passed = (time.monotonic() - began) * 1_000
            silent = [node["last_contact_ms"] for node in cluster.status()["nodes"]]
            return all(ms is not None and ms < passed for ms in silent)

        wait_until(heard, "a heartbeat of every datanode")


def read_back(cluster, *keys):
    for n, key in enumerate(keys):
        answer = cluster.client().get_object(Bucket="bucket", Key=key)
        assert answer["Body"].read() == some_bytes(100_000 + n, n), key


def assert_clean(cluster):
    wait_until(cluster.fully_replicated, "three replicas of every block")
    done = run_cairn(["admin", "fsck", "--metanode", cluster.metanode.url], cluster.secret)
    assert done.returncode == 0, done.stdout
    return done.stdout


def outlive_leases(cluster):
    """Waits until the leases of both objects' blocks have expired, so that only the hold protects their six replicas."""
    assert cluster.admin_json("hold", "status")["since"] is not None
    wait_until(
        lambda: sum(node["blocks"] for node in cluster.admin_json("hold", "status")["nodes"]) >= 6,
        "the replicas of both objects to be counted as unknown",
    )


# An operator saved the database, two objects were written, and the older database was put back for eight seconds, and then
# the newer one. With the older database, the metanode took the two objects' blocks for garbage and deleted all their
# replicas: the newer database then referred to two blocks without any good replica.
def test_an_older_database_is_put_back_and_then_the_newer_one(cluster):
    put(cluster, "before")
    saved = save(cluster, "saved")
    put(cluster, "one", "two")
    wait_until_datanodes_heard(cluster)
    latest = save(cluster, "latest")
    put_back(cluster, saved)
    outlive_leases(cluster)
    told = run_cairn(["admin", "status", "--metanode", cluster.metanode.url], cluster.secret).stdout
    assert "Deletions are held" in told
    assert "Deletions are held" in assert_clean(cluster)
    read_back(cluster, "before")
    client = cluster.client()
    with pytest.raises(client.exceptions.NoSuchKey):
        client.get_object(Bucket="bucket", Key="one")
    put_back(cluster, latest)
    read_back(cluster, "one", "two")
    read_back(cluster, "before")
    assert "held" not in assert_clean(cluster)


def test_the_newer_database_is_put_back_after_the_hold_was_released(cluster):
    put(cluster, "before")
    saved = save(cluster, "saved")
    put(cluster, "one", "two")
    wait_until_datanodes_heard(cluster)
    latest = save(cluster, "latest")
    put_back(cluster, saved)
    outlive_leases(cluster)
    dry = run_cairn(["admin", "hold", "release", "--dry-run", "--metanode", cluster.metanode.url], cluster.secret)
    assert dry.returncode == 0 and "Releasing them would delete" in dry.stdout
    refused = run_cairn(["admin", "hold", "release", "--metanode", cluster.metanode.url], cluster.secret)
    assert refused.returncode == 1 and "--yes" in refused.stderr
    cluster.admin("hold", "release", "--yes")
    with cluster.events() as events:
        for _ in range(6):
            events.wait_for("BlockDeleted")
    put_back(cluster, latest)
    read_back(cluster, "one", "two")
    assert_clean(cluster)
    cluster.admin("hold", "release", "--yes")
    read_back(cluster, "one", "two")
    assert "held" not in assert_clean(cluster)


def test_an_older_database_without_its_log_is_put_back_and_then_the_newer_one(cluster):
    put(cluster, "before")
    # A stop merges SQLite's log into the file. Later writes are only in the log.
    cluster.metanode.stop()
    cluster.metanode.restart()
    put(cluster, "one", "two")
    wait_until_datanodes_heard(cluster)
    latest = save(cluster, "latest")
    put_back(cluster, save(cluster, "without_log", files=FILES[:1]))
    outlive_leases(cluster)
    put_back(cluster, latest)
    read_back(cluster, "one", "two")
    assert "held" not in assert_clean(cluster)
