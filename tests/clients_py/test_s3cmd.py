"""s3cmd, which uses older ways to sign and list."""

import pytest
import requests
import tools
from data import MIB, some_bytes


@pytest.fixture
def s3cmd(server, tmp_path):
    return tools.s3cmd(server.endpoint, tmp_path)


def test_buckets(s3cmd):
    s3cmd.run("mb", "s3://s3cmd-bucket")
    assert b"s3://s3cmd-bucket" in s3cmd.run("ls").stdout
    s3cmd.run("rb", "s3://s3cmd-bucket")
    assert b"s3://s3cmd-bucket" not in s3cmd.run("ls").stdout


def test_put_get_and_del(s3cmd, bucket, tmp_path):
    body = some_bytes(100_000)
    (tmp_path / "a b.bin").write_bytes(body)
    s3cmd.run("put", "a b.bin", f"s3://{bucket}/d/a b.bin")
    assert b"100000" in s3cmd.run("ls", f"s3://{bucket}/d/").stdout
    s3cmd.run("get", f"s3://{bucket}/d/a b.bin", "back")
    assert (tmp_path / "back").read_bytes() == body
    info = s3cmd.run("info", f"s3://{bucket}/d/a b.bin", check=False).stdout.decode()
    assert "File size: 100000" in info
    s3cmd.run("cp", f"s3://{bucket}/d/a b.bin", f"s3://{bucket}/copy")
    s3cmd.run("mv", f"s3://{bucket}/copy", f"s3://{bucket}/moved")
    s3cmd.run("del", f"s3://{bucket}/d/a b.bin")
    assert (
        s3cmd.run("ls", "--recursive", f"s3://{bucket}").stdout.split()[-1] == f"s3://{bucket}/moved".encode()
    )


def test_put_in_parts(s3cmd, bucket, tmp_path):
    body = some_bytes(17 * MIB + 3)
    (tmp_path / "big").write_bytes(body)
    s3cmd.run("put", "--multipart-chunk-size-mb=5", "big", f"s3://{bucket}/big")
    s3cmd.run("get", f"s3://{bucket}/big", "back")
    assert (tmp_path / "back").read_bytes() == body
    assert b"big" not in s3cmd.run("multipart", f"s3://{bucket}").stdout


def test_sync(s3cmd, bucket, tmp_path):
    source = tmp_path / "source"
    (source / "dir").mkdir(parents=True)
    (source / "a").write_bytes(b"a")
    (source / "dir/b").write_bytes(b"b" * 1_000)
    s3cmd.run("sync", "source/", f"s3://{bucket}/t/")
    s3cmd.run("sync", f"s3://{bucket}/t/", "target/")
    assert (tmp_path / "target/dir/b").read_bytes() == b"b" * 1_000
    (source / "a").unlink()
    s3cmd.run("sync", "--delete-removed", "source/", f"s3://{bucket}/t/")
    listed = s3cmd.run("ls", "--recursive", f"s3://{bucket}").stdout.decode()
    assert f"s3://{bucket}/t/dir/b" in listed and f"s3://{bucket}/t/a" not in listed


def test_signed_urls(start, tmp_path):
    # s3cmd signs URLs with Signature Version 2, which is off by default.
    store = start("server", env={"CAIRN_SIGV2": "true"})
    s3, s3cmd = store.client(), tools.s3cmd(store.endpoint, tmp_path)
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="k", Body=b"x")
    url = s3cmd.run("signurl", "s3://bucket/k", "+600").stdout.decode().strip()
    assert requests.get(url).content == b"x"
