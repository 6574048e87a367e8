"""Random faults under load: no acknowledged write is lost, no read returns a wrong byte, and in the end all blocks have all
replicas and no garbage is left.

`CAIRN_SEED` chooses other faults, and `CAIRN_FAULTS` their number.
"""

import contextlib
import os
import random
import subprocess
import time

import damage
import disks
import pytest
from data import MIB
from harness import wait_until
from load import BUCKET, Load

SEED = os.environ.get("CAIRN_SEED", "1")
FAULTS = int(os.environ.get("CAIRN_FAULTS", "60"))

DATANODES = 5
THREADS = 8

# How long `fsck` may find problems after the last fault. The leases of killed gateways expire (20 s), silent nodes become
# dead (3 s), and some hundred MiB are copied; the rest is a margin for a busy machine.
FSCK_SECONDS = 180

# A fault lasts for this many operations of clients, so that some begin during the fault and some end during it.
ATTEMPTS = 6


class Faults:
    """The faults of a cluster. At any time at most one node has damaged files, because blocks survive only through the good
    replicas on the other nodes."""

    def __init__(self, cluster, load, rng):
        self.cluster, self.load, self.rng = cluster, load, rng
        self.rotten = cluster.datanodes[0]
        self.lasting = []
        self.log = []

    def kinds(self):
        parts = [self.cluster.metanode, *self.cluster.gateways, *self.cluster.datanodes]
        free = [part for part in parts if part not in [part for part, _ in self.lasting]]
        process = [(kind, part) for kind in (self.kill, self.suspend) for part in free]
        files = [(kind, self.rotten) for kind in (self.flip, self.remove) for _ in range(4)]
        full = [(self.fill, part) for part in (self.cluster.datanodes[-1], self.cluster.metanode)]
        return process + files + [(kind, part) for kind, part in full if part in free]

    def strike(self):
        """Starts a random fault. A lasting fault ends after the next one has started."""
        kind, part = self.rng.choice(self.kinds())
        self.log.append(f"{kind.__name__} {part.name}")
        if lift := kind(part):
            self.lasting.append((part, lift))
        self.wait()
        if len(self.lasting) > 1:
            self.lift()

    def wait(self):
        """Waits until the clients have made ATTEMPTS more operations."""
        until = self.load.attempts + ATTEMPTS
        wait_until(lambda: self.load.attempts >= until or self.load.broken, "clients to go on", 120)
        self.load.check()

    def lift(self):
        # The metanode is first: a restarted gateway becomes ready only when it gets its credentials from the metanode.
        self.lasting.sort(key=lambda fault: fault[0] is not self.cluster.metanode)
        _, lift = self.lasting.pop(0)
        lift()

    def lift_all(self):
        while self.lasting:
            self.lift()

    def kill(self, part):
        part.kill()
        return part.restart

    def suspend(self, part):
        part.suspend()
        return part.resume

    def flip(self, part):
        if path := self.segment(part):
            # The datanode may have removed the file since: then there is nothing to damage.
            with contextlib.suppress(FileNotFoundError):
                damage.flip_bit(path, seed=self.rng.random())

    def remove(self, part):
        # The file is a dedicated segment with one block, or a shared segment.
        if path := self.segment(part):
            path.unlink(missing_ok=True)

    def segment(self, part):
        found = damage.segments(self.cluster.data_directory(part.name), least=64)
        return self.rng.choice(found) if found else None

    def fill(self, part):
        return disks.fill(self.cluster.data_directory(part.name))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_random_faults_under_load_lose_nothing_and_leave_nothing(start, tmp_path):
    with disks.small(tmp_path, {"metanode": 256 * MIB, f"datanode{DATANODES - 1}": 512 * MIB}) as directories:
        run(start, directories)


def run(start, directories):
    rng = random.Random(SEED)
    cluster = start(
        "cluster",
        datanodes=DATANODES,
        gateways=2,
        directories=directories,
        env={
            "CAIRN_GC_GRACE": "20s",
            "CAIRN_LEASE": "20s",
            "CAIRN_LEASE_SLACK": "1s",
            "CAIRN_RESERVE": "16MiB",
            # A short time in the trash, so that all space is free at the end of the test.
            "CAIRN_TRASH_AGE": "5s",
            # Small objects are moved into packs all the time.
            "CAIRN_PACK_SIZE": "1MiB",
            "CAIRN_PACK_AGE": "0s",
            "CAIRN_PACK_INTERVAL": "1s",
        },
    )
    cluster.expected_faults = "is full"
    cluster.client().create_bucket(Bucket=BUCKET)

    def clients():
        return [cluster.client(n, read_timeout=8, connect_timeout=3) for n in range(2)]

    with Load(clients, THREADS, SEED) as load:
        faults = Faults(cluster, load, rng)
        for _ in range(FAULTS):
            faults.strike()
            # Damage another node once all blocks have all replicas.
            if len(faults.log) % (FAULTS // 3) == 0:
                faults.lift_all()
                with load.paused():
                    heal(cluster)
                faults.rotten = rng.choice(cluster.datanodes[:-1])
        faults.lift_all()
    load.check()
    summary = f"{faults.log}; {load.attempts} attempts, {load.done} succeeded, errors: {load.errors}"
    print(summary)
    assert load.done > load.attempts / 4, summary

    heal(cluster)
    assert load.verify(cluster.client()) > 0, summary
    clean_out(cluster, load)


def heal(cluster):
    """Waits until all nodes are live, the scrubbers have read every replica, and `fsck` finds nothing."""
    everybody = DATANODES
    wait_until(
        lambda: [node["state"] for node in cluster.status()["nodes"]] == ["live"] * everybody, "all to be live", 120
    )
    failed = [volume["failed"] for node in cluster.status()["nodes"] for volume in node["volumes"] if volume["failed"]]
    assert not failed, "no fault breaks a disk"
    try:
        # The exit code is 2 if the scrub finds corrupt replicas, which is expected here.
        cluster.admin_json("scrub", "start", "--wait", timeout=300)
    except subprocess.TimeoutExpired as error:
        found = {"scrubs": cluster.admin_json("scrub", "status"), "nodes": cluster.status()["nodes"]}
        raise AssertionError(f"the scrub does not end: {found}") from error
    deadline = time.monotonic() + FSCK_SECONDS
    while not is_clean(report := cluster.admin_json("fsck")):
        assert time.monotonic() < deadline, f"fsck finds after {FSCK_SECONDS} s: {report}"


def is_clean(report):
    """Whether `fsck` counts no problem and no block that still waits for work."""
    return report["clean"] and not any(report["totals"].values())


def clean_out(cluster, load):
    """Deletes everything, and waits until no block, file or used space is left."""
    client = cluster.client()
    for upload in client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
        client.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    for key in load.expected:
        client.delete_object(Bucket=BUCKET, Key=key)
    assert "Contents" not in client.list_objects_v2(Bucket=BUCKET)

    def used():
        return [volume["used"] for node in cluster.status()["nodes"] for volume in node["volumes"]]

    def files():
        directories = [cluster.data_directory(node.name) for node in cluster.datanodes]
        return [path for directory in directories for path in directory.glob("own/*/*")]

    wait_until(lambda: cluster.status()["blocks"] == 0, "every block to be given up", 120)
    wait_until(lambda: not files(), "every block's file to go", 120)
    wait_until(lambda: max(used()) < MIB, "the space to be free", 120)
