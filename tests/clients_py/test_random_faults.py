"""Faults drawn at random, under load: whatever happens, nothing that was acknowledged is lost, nobody reads a
wrong byte, and in the end everything is whole and nothing is left over.

`CAIRN_SEED` and `CAIRN_FAULTS` draw other faults, and more of them.
"""

import os
import random
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

# Within this time all is whole: the lease of what dead gateways left (20 s), the death of silent nodes (3 s), and
# copies of some hundred MiB, many times over for a busy machine.
FSCK_SECONDS = 180

# How many attempts of clients a fault lasts: some that begin in it, and some that end in it.
ATTEMPTS = 6


class Faults:
    """What can happen to a cluster. At any time at most one node has damage on its disks: the copies on the
    others are what the promise rests on."""

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
        """Something happens; what lasts ends when the one after it has happened."""
        kind, part = self.rng.choice(self.kinds())
        self.log.append(f"{kind.__name__} {part.name}")
        if lift := kind(part):
            self.lasting.append((part, lift))
        self.wait()
        if len(self.lasting) > 1:
            self.lift()

    def wait(self):
        """Lets the clients feel it."""
        until = self.load.attempts + ATTEMPTS
        wait_until(lambda: self.load.attempts >= until or self.load.broken, "clients to go on", 120)
        self.load.check()

    def lift(self):
        # A gateway is ready when the metanode has told it who may ask.
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
            damage.flip_bit(path, seed=self.rng.random())

    def remove(self, part):
        # A file of its own: one block. A shared segment may hold blocks that were acknowledged a moment ago.
        if path := self.segment(part):
            path.unlink()

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
            # What is deleted lies in the trash for a while; at the end all space is to be free.
            "CAIRN_TRASH_AGE": "5s",
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
            # The damage moves on to another node once all is whole.
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
    """All live, every copy read by the scrubbers, and `fsck` clean."""
    everybody = DATANODES
    wait_until(
        lambda: [node["state"] for node in cluster.status()["nodes"]] == ["live"] * everybody, "all to be live", 120
    )
    # Its exit code tells that there were bad copies, and there were.
    cluster.admin_json("scrub", "start", "--wait", timeout=300)
    deadline = time.monotonic() + FSCK_SECONDS
    while not is_clean(report := cluster.admin_json("fsck")):
        assert time.monotonic() < deadline, f"fsck finds after {FSCK_SECONDS} s: {report}"


def is_clean(report):
    """Whether nothing is missing, bad, too few or too many, belongs to nothing, or waits for its end."""
    return report["clean"] and not any(report["totals"].values())


def clean_out(cluster, load):
    """When everything is deleted, no block is left anywhere."""
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
