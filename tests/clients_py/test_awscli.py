"""aws-cli: the commands that people use most."""

import hashlib
import json
import os

import pytest
import requests
import tools
from data import MIB, some_bytes


@pytest.fixture
def aws(server, tmp_path):
    return tools.aws_cli(server.endpoint, tmp_path)


def keys(aws, bucket):
    out = json.loads(aws.run("s3api", "list-objects-v2", "--bucket", bucket).stdout or "{}")
    return [entry["Key"] for entry in out.get("Contents", [])]


def test_mb_ls_rb(aws):
    aws.run("s3", "mb", "s3://cli-bucket")
    assert b"cli-bucket" in aws.run("s3", "ls").stdout
    aws.run("s3", "rb", "s3://cli-bucket")
    assert b"cli-bucket" not in aws.run("s3", "ls").stdout


def test_rb_by_force_removes_what_is_in_it(aws, bucket, s3):
    for n in range(3):
        s3.put_object(Bucket=bucket, Key=f"d/{n}", Body=b"x")
    assert aws.run("s3", "rb", f"s3://{bucket}", check=False).returncode != 0
    aws.run("s3", "rb", "--force", f"s3://{bucket}")


def test_cp_in_and_out(aws, bucket, tmp_path):
    body = some_bytes(3 * MIB + 1)
    (tmp_path / "a file.bin").write_bytes(body)
    aws.run("s3", "cp", "a file.bin", f"s3://{bucket}/dir/")
    listing = aws.run("s3", "ls", f"s3://{bucket}/dir/").stdout.decode()
    assert f"{len(body)} a file.bin" in listing
    aws.run("s3", "cp", f"s3://{bucket}/dir/a file.bin", "copy.bin")
    assert (tmp_path / "copy.bin").read_bytes() == body


def test_cp_of_more_than_100_mb_in_parts(aws, bucket, tmp_path, s3):
    body = some_bytes(120 * MIB + 11)
    (tmp_path / "big").write_bytes(body)
    aws.run("s3", "cp", "big", f"s3://{bucket}/big")
    head = s3.head_object(Bucket=bucket, Key="big")
    # aws-cli uploads in parts of 8 MiB by default.
    assert head["ETag"].endswith('-16"')
    aws.run("s3", "cp", f"s3://{bucket}/big", "back")
    assert hashlib.sha256((tmp_path / "back").read_bytes()).digest() == hashlib.sha256(body).digest()
    # aws-cli copies a large object within the store in parts, too.
    aws.run("s3", "cp", f"s3://{bucket}/big", f"s3://{bucket}/copied")
    assert s3.head_object(Bucket=bucket, Key="copied")["ContentLength"] == len(body)
    out = tmp_path / "range"
    aws.run(
        "s3api", "get-object", "--bucket", bucket, "--key", "big", "--range", "bytes=100000000-100000099", out
    )
    assert out.read_bytes() == body[100_000_000:100_000_100]


def test_cp_from_and_to_a_pipe(aws, bucket, tmp_path):
    body = some_bytes(20 * MIB)
    (tmp_path / "in").write_bytes(body)
    with open(tmp_path / "in", "rb") as stdin:
        aws.run("s3", "cp", "-", f"s3://{bucket}/piped", stdin=stdin)
    assert aws.run("s3", "cp", f"s3://{bucket}/piped", "-").stdout == body


def test_mv_moves(aws, bucket, tmp_path):
    (tmp_path / "f").write_bytes(b"moved")
    aws.run("s3", "mv", "f", f"s3://{bucket}/a")
    assert not (tmp_path / "f").exists()
    aws.run("s3", "mv", f"s3://{bucket}/a", f"s3://{bucket}/b")
    assert keys(aws, bucket) == ["b"]
    aws.run("s3", "mv", f"s3://{bucket}/b", "back")
    assert (tmp_path / "back").read_bytes() == b"moved"
    assert keys(aws, bucket) == []


def test_sync_both_ways_and_rm(aws, bucket, tmp_path):
    source = tmp_path / "source"
    files = {"a.txt": b"a", "dir/b.txt": b"b" * 100_000, "dir/deep/ü c.txt": b"c", "empty": b""}
    for name, content in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        # The files must be older than the objects. S3's times have whole seconds only, so a new file could look newer.
        os.utime(path, (1_700_000_000, 1_700_000_000))
    aws.run("s3", "sync", source, f"s3://{bucket}/tree")
    assert keys(aws, bucket) == sorted(f"tree/{name}" for name in files)
    # Nothing has changed, so nothing is copied again.
    assert aws.run("s3", "sync", source, f"s3://{bucket}/tree").stdout == b""
    (source / "a.txt").unlink()
    aws.run("s3", "sync", "--delete", source, f"s3://{bucket}/tree")
    assert "tree/a.txt" not in keys(aws, bucket)
    aws.run("s3", "sync", f"s3://{bucket}/tree", "target")
    back = {
        str(p.relative_to(tmp_path / "target")): p.read_bytes()
        for p in (tmp_path / "target").rglob("*")
        if p.is_file()
    }
    assert back == {name: content for name, content in files.items() if name != "a.txt"}
    aws.run("s3", "rm", "--recursive", f"s3://{bucket}/tree/dir")
    assert keys(aws, bucket) == ["tree/empty"]


def test_sync_continues_after_empty_files(aws, bucket, tmp_path):
    """aws-cli sends `Expect: 100-continue` with an empty file, too. Cairn sent the final answer without `100 Continue`, and
    aws-cli then took the answer to the next upload on that connection for the rest of this one. `aws s3 sync` waited until it
    timed out."""
    files = {"a": b"", "b": b"x", "c": b"", "d": b"y"}
    for name, content in files.items():
        (tmp_path / "source").mkdir(exist_ok=True)
        (tmp_path / "source" / name).write_bytes(content)
    # One request at a time, so that all uploads use the same connection.
    config = tmp_path / "config"
    config.write_text("[default]\ns3 =\n    max_concurrent_requests = 1\n")
    aws.env["AWS_CONFIG_FILE"] = str(config)
    for n in range(3):
        aws.run("--cli-read-timeout", "20", "s3", "sync", "source", f"s3://{bucket}/{n}")
    assert keys(aws, bucket) == sorted(f"{n}/{name}" for n in range(3) for name in files)


def test_presign(aws, bucket, s3, tmp_path):
    s3.put_object(Bucket=bucket, Key="k", Body=b"shared")
    url = aws.run("s3", "presign", f"s3://{bucket}/k").stdout.decode().strip()
    # Version 1 of aws-cli presigns with Signature Version 2 for us-east-1 by default, which Cairn refuses without `--sigv2`.
    assert "AWSAccessKeyId=" in url
    assert requests.get(url).status_code == 400
    config = tmp_path / "config"
    config.write_text("[default]\ns3 =\n    signature_version = s3v4\n")
    aws.env["AWS_CONFIG_FILE"] = str(config)
    url = aws.run("s3", "presign", f"s3://{bucket}/k").stdout.decode().strip()
    assert requests.get(url).content == b"shared"


def test_s3api_with_metadata_and_checksum(aws, bucket, tmp_path):
    (tmp_path / "f").write_bytes(b"123456789")
    put = ["s3api", "put-object", "--bucket", bucket, "--key", "k", "--body", "f"]
    put += ["--metadata", "colour=blue", "--checksum-algorithm", "SHA256"]
    assert (
        json.loads(aws.run(*put).stdout)["ChecksumSHA256"] == "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="
    )
    head = json.loads(aws.run("s3api", "head-object", "--bucket", bucket, "--key", "k").stdout)
    assert head["Metadata"] == {"colour": "blue"}
    once = aws.run(*put, "--if-none-match", "*", check=False)
    assert once.returncode != 0 and b"PreconditionFailed" in once.stderr


def test_errors_are_understood(aws, bucket):
    missing = aws.run("s3", "cp", f"s3://{bucket}/missing", "-", check=False)
    assert missing.returncode == 1 and b"404" in missing.stderr
    nobody = aws.run("s3", "ls", "s3://no-such-bucket", check=False)
    assert b"NoSuchBucket" in nobody.stderr


def test_sizes_are_summed_up(aws, bucket, s3):
    for n in range(5):
        s3.put_object(Bucket=bucket, Key=f"d{n}/x", Body=b"12345678")
    out = aws.run("s3", "ls", "--recursive", "--summarize", f"s3://{bucket}").stdout.decode()
    assert "Total Objects: 5" in out and "Total Size: 40" in out
    assert aws.run("s3", "ls", f"s3://{bucket}").stdout.decode().split() == [
        word for n in range(5) for word in ("PRE", f"d{n}/")
    ]
