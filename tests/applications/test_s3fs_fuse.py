"""s3fs-fuse: a bucket as a directory, with owners, modes and times as metadata."""

import os
import shutil
import subprocess

import mounting
import pytest
import tools
from data import MIB, some_bytes
from harness import ACCESS_KEY, REGION, SECRET_KEY


@pytest.fixture
def directory(server, bucket, tmp_path):
    passwords = tmp_path / "passwd-s3fs"
    passwords.write_text(f"{ACCESS_KEY}:{SECRET_KEY}")
    passwords.chmod(0o600)
    point = tmp_path / "mount"
    options = [
        f"passwd_file={passwords}",
        f"url={server.endpoint}",
        f"endpoint={REGION}",
        "use_path_request_style",
        "multipart_size=10",
        "retries=1",
        "stat_cache_expire=1",
    ]
    command = [tools.need("s3fs"), bucket, str(point), "-f"]
    command += [word for option in options for word in ("-o", option)]

    def start():
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    with mounting.mounted(point, start):
        yield point


def test_files_are_written_changed_renamed_and_deleted(directory, s3, bucket):
    body = some_bytes(25 * MIB + 7)
    (directory / "a/b").mkdir(parents=True)
    (directory / "a/b/large").write_bytes(body)
    assert s3.get_object(Bucket=bucket, Key="a/b/large")["Body"].read() == body
    # A change within the file: s3fs uploads the changed parts and copies the others.
    with open(directory / "a/b/large", "r+b") as file:
        file.seek(12 * MIB)
        file.write(b"changed")
    body = body[: 12 * MIB] + b"changed" + body[12 * MIB + 7 :]
    assert s3.get_object(Bucket=bucket, Key="a/b/large")["Body"].read() == body
    (directory / "a/b/large").rename(directory / "moved")
    assert (directory / "moved").read_bytes() == body
    assert os.listdir(directory / "a/b") == []
    os.chmod(directory / "moved", 0o640)
    os.utime(directory / "moved", (1_000_000_000, 1_000_000_000))
    found = (directory / "moved").stat()
    assert found.st_mode & 0o777 == 0o640 and found.st_mtime == 1_000_000_000
    os.symlink("moved", directory / "link")
    assert (directory / "link").read_bytes() == body
    shutil.rmtree(directory / "a")
    (directory / "moved").unlink()
    (directory / "link").unlink()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_directory_of_many_files_is_renamed(directory, s3, bucket):
    (directory / "from").mkdir()
    for n in range(40):
        (directory / f"from/{n}").write_text(f"{n}\n")
    (directory / "from").rename(directory / "to")
    assert sorted(os.listdir(directory / "to"), key=int) == [str(n) for n in range(40)]
    assert (directory / "to/39").read_text() == "39\n"
    keys = {o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert keys == {"to/", *(f"to/{n}" for n in range(40))}
