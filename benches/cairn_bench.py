"""`cairn bench`, as the benchmarks of this directory run it."""

import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/clients_py"))

import harness  # noqa: E402

ENVIRONMENT = os.environ | {
    "AWS_ACCESS_KEY_ID": harness.ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": harness.SECRET_KEY,
    "AWS_REGION": harness.REGION,
}


def run(words, seconds):
    """Runs a workload after a second of warm-up; returns the report."""
    command = [harness.BINARY, "bench", *words, "--json", "--duration", f"{seconds}s", "--warm-up", "1s"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    if not done.stdout.startswith("{"):
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout)
