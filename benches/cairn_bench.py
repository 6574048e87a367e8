"""`cairn bench`, as the benchmarks of this directory run it."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/clients_py"))

import harness  # noqa: E402

ENVIRONMENT = os.environ | {
    "AWS_ACCESS_KEY_ID": harness.ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": harness.SECRET_KEY,
    "AWS_REGION": harness.REGION,
}


@contextlib.contextmanager
def running(start, bucket, **options):
    """A store that `start` starts, with its data on the disk of the checkout and an empty bucket. It is stopped and removed at the end."""
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as name:
        store = start(pathlib.Path(name), **options)
        try:
            store.client().create_bucket(Bucket=bucket)
            yield store
        finally:
            store.stop()


def objects(store, bucket):
    """How many objects a bucket has."""
    found = [one for one in store.admin_json("bucket", "list") if one["bucket"] == bucket]
    return found[0]["usage"]["objects"] if found else 0


def run(words, seconds):
    """Runs a workload after a second of warm-up; returns the report."""
    command = [harness.BINARY, "bench", *words, "--json", "--duration", f"{seconds}s", "--warm-up", "1s"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    if not done.stdout.startswith("{"):
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout)
