"""restic: a backup is taken, checked, thinned out and restored."""

import json

import pytest
import tools
from data import MIB, some_bytes
from harness import ACCESS_KEY, REGION, SECRET_KEY


@pytest.fixture
def restic(server, bucket, tmp_path):
    env = {
        "RESTIC_REPOSITORY": f"s3:{server.endpoint}/{bucket}/backups",
        "RESTIC_PASSWORD": "correct horse battery staple",
        "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "HOME": str(tmp_path),
    }
    return tools.Tool([tools.need("restic")], env, tmp_path)


def contents(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_backup_check_forget_prune_and_restore(restic, tmp_path, s3, bucket):
    source = tmp_path / "source"
    (source / "deep/er").mkdir(parents=True)
    for n in range(60):
        (source / f"deep/file{n}").write_bytes(some_bytes(1_000 * n, seed=n))
    (source / "deep/er/large").write_bytes(some_bytes(30 * MIB, seed=99))
    (source / "ü 🦀").write_bytes(b"a name that is not ASCII")

    restic.run("init")
    restic.run("backup", "source")
    first = contents(source)
    # After these changes, only the first snapshot refers to most of the data, so that the prune below removes it.
    (source / "deep/er/large").write_bytes(some_bytes(5 * MIB, seed=100))
    for n in range(0, 60, 2):
        (source / f"deep/file{n}").unlink()
    restic.run("backup", "source")
    restic.run("check", "--read-data")
    snapshots = json.loads(restic.run("snapshots", "--json").stdout)
    assert len(snapshots) == 2

    restic.run("restore", snapshots[0]["id"], "--target", "old")
    assert contents(tmp_path / "old/source") == first
    stored = bytes_in(s3, bucket)
    restic.run("forget", "--keep-last", "1", "--prune")
    assert bytes_in(s3, bucket) < stored - 20 * MIB
    restic.run("check", "--read-data")
    restic.run("restore", "latest", "--target", "new")
    assert contents(tmp_path / "new/source") == contents(source)
    # Commands that have ended leave no locks.
    assert restic.run("list", "locks").stdout == b""


def bytes_in(s3, bucket):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return sum(o["Size"] for page in pages for o in page.get("Contents", []))
