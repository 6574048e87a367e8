"""rclone: copy, sync, check, and a mounted bucket."""

import pathlib
import subprocess

import mounting
import pytest
import tools
from data import MIB, some_bytes
from harness import wait_until


@pytest.fixture
def rclone(server, tmp_path):
    return tools.rclone(server.endpoint, tmp_path)


@pytest.fixture
def tree(tmp_path):
    """Some files, one of them larger than rclone's cutoff for a single PUT, which the tests set to 5 MiB."""
    root = tmp_path / "tree"
    files = {
        "a.txt": b"a",
        "empty": b"",
        "dir/b c+d%.txt": b"b" * 70_000,
        "dir/deep/\u00fc\U0001f980.txt": b"c",
        "large.bin": some_bytes(23 * MIB + 5),
    }
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def contents(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_copy_check_and_back(rclone, bucket, tree, tmp_path):
    rclone.run("copy", "--s3-upload-cutoff", "5M", tree, f"cairn:{bucket}/t")
    # With --download, rclone compares the contents, not only sizes and hashes.
    rclone.run("check", "--download", tree, f"cairn:{bucket}/t")
    rclone.run("check", tree, f"cairn:{bucket}/t")
    rclone.run("copy", f"cairn:{bucket}/t", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(tree)
    # The second run copies nothing, because the times are kept as metadata.
    again = rclone.run("copy", "-v", tree, f"cairn:{bucket}/t").stderr.decode()
    assert "Copied" not in again


def test_sync_deletes_what_is_gone(rclone, bucket, tree):
    rclone.run("sync", tree, f"cairn:{bucket}")
    (tree / "a.txt").unlink()
    (tree / "empty").write_bytes(b"no more")
    rclone.run("sync", tree, f"cairn:{bucket}")
    rclone.run("check", "--download", tree, f"cairn:{bucket}")
    listed = rclone.run("lsf", "-R", "--files-only", f"cairn:{bucket}").stdout.decode().splitlines()
    assert sorted(listed) == sorted(contents(tree))


def test_move_and_purge(rclone, bucket, tree):
    rclone.run("copy", tree, f"cairn:{bucket}/one")
    rclone.run("move", f"cairn:{bucket}/one", f"cairn:{bucket}/two")
    rclone.run("check", "--download", tree, f"cairn:{bucket}/two")
    assert rclone.run("lsf", f"cairn:{bucket}").stdout == b"two/\n"
    rclone.run("purge", f"cairn:{bucket}/two")
    assert rclone.run("lsf", f"cairn:{bucket}").stdout == b""


def test_buckets(rclone):
    rclone.run("mkdir", "cairn:rclone-bucket")
    assert b"rclone-bucket" in rclone.run("lsd", "cairn:").stdout
    rclone.run("rmdir", "cairn:rclone-bucket")


@pytest.fixture
def mounted(rclone, bucket, tmp_path):
    """The bucket as a directory. rclone uploads a file when it is closed."""
    point = tmp_path / "mount"

    def start():
        return rclone.start(
            "mount",
            f"cairn:{bucket}",
            point,
            "--vfs-cache-mode=writes",
            "--vfs-write-back=0s",
            "--dir-cache-time=0s",
            f"--cache-dir={tmp_path / 'cache'}",
        )

    with mounting.mounted(point, start):
        yield point


def stored(s3, bucket):
    listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {o["Key"]: o["Size"] for o in listed}


def test_files_are_written_renamed_read_and_deleted_through_a_mount(mounted, s3, bucket):
    body = some_bytes(12 * MIB + 9)
    (mounted / "dir").mkdir()
    (mounted / "dir/file.bin").write_bytes(body)
    (mounted / "notes.txt").write_text("first\n")
    wait_until(
        lambda: stored(s3, bucket) == {"dir/file.bin": len(body), "notes.txt": 6}, "the files to be stored"
    )
    assert s3.get_object(Bucket=bucket, Key="dir/file.bin")["Body"].read() == body

    with open(mounted / "notes.txt", "a") as notes:
        notes.write("second\n")
    wait_until(lambda: stored(s3, bucket)["notes.txt"] == 13, "the longer file to be stored")
    assert s3.get_object(Bucket=bucket, Key="notes.txt")["Body"].read() == b"first\nsecond\n"

    (mounted / "dir/file.bin").rename(mounted / "renamed.bin")
    wait_until(lambda: "renamed.bin" in stored(s3, bucket), "the file to be renamed")
    assert "dir/file.bin" not in stored(s3, bucket)
    assert (mounted / "renamed.bin").read_bytes() == body
    with open(mounted / "renamed.bin", "rb") as file:
        file.seek(9 * MIB)
        assert file.read(1_000) == body[9 * MIB : 9 * MIB + 1_000]

    # An object that another client puts into the bucket appears in the directory.
    s3.put_object(Bucket=bucket, Key="from/elsewhere.txt", Body=b"hello")
    wait_until(lambda: (mounted / "from/elsewhere.txt").exists(), "the new object to show")
    assert (mounted / "from/elsewhere.txt").read_bytes() == b"hello"

    (mounted / "renamed.bin").unlink()
    (mounted / "from/elsewhere.txt").unlink()
    wait_until(lambda: stored(s3, bucket) == {"notes.txt": 13}, "the files to be deleted")


def test_a_tree_is_copied_into_and_out_of_a_mount(mounted, tree, tmp_path):
    subprocess.run(["cp", "-r", f"{tree}/.", str(mounted)], check=True)
    subprocess.run(["cp", "-r", f"{mounted}/.", str(tmp_path / "back")], check=True)
    assert contents(pathlib.Path(tmp_path / "back")) == contents(tree)
