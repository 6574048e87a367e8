"""RenameObject, by boto3, aws-cli and raw HTTP. Source: Amazon S3 API Reference, "RenameObject", and User Guide, "Renaming objects in
directory buckets"."""

import threading

import pytest
import tools
from data import MIB, some_bytes
from errors import s3_error
from people import People, allow


def keys(s3, bucket):
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_an_object_of_many_blocks_is_renamed_with_all_that_it_has(s3, bucket):
    body = some_bytes(20 * MIB)
    s3.put_object(
        Bucket=bucket,
        Key="photos/old name+1.bin",
        Body=body,
        ContentType="image/x",
        Metadata={"colour": "red"},
        Tagging="team=blue",
        ChecksumAlgorithm="SHA256",
    )
    before = s3.head_object(Bucket=bucket, Key="photos/old name+1.bin", ChecksumMode="ENABLED")
    s3.rename_object(Bucket=bucket, Key="archive/new.bin", RenameSource="photos/old%20name%2B1.bin")
    after = s3.head_object(Bucket=bucket, Key="archive/new.bin", ChecksumMode="ENABLED")
    same = ["ETag", "LastModified", "ContentLength", "ContentType", "Metadata", "ChecksumSHA256"]
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert s3.get_object_tagging(Bucket=bucket, Key="archive/new.bin")["TagSet"] == [{"Key": "team", "Value": "blue"}]
    assert s3.get_object(Bucket=bucket, Key="archive/new.bin")["Body"].read() == body
    assert keys(s3, bucket) == ["archive/new.bin"]


def test_conditions_and_errors(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    s3.put_object(Bucket=bucket, Key="b", Body=b"b")
    rename = {"Bucket": bucket, "Key": "b", "RenameSource": "a"}
    with s3_error("PreconditionFailed", 412):
        s3.rename_object(**rename, DestinationIfNoneMatch="*")
    with s3_error("PreconditionFailed", 412):
        s3.rename_object(**rename, DestinationIfMatch='"x"')
    with s3_error("PreconditionFailed", 412):
        s3.rename_object(**rename, SourceIfMatch='"x"')
    with s3_error("PreconditionFailed", 412):
        s3.rename_object(**rename, SourceIfNoneMatch="*")
    with s3_error("NoSuchKey", 404):
        s3.rename_object(Bucket=bucket, Key="b", RenameSource="missing")
    assert s3.get_object(Bucket=bucket, Key="b")["Body"].read() == b"b"
    etag = s3.head_object(Bucket=bucket, Key="b")["ETag"]
    s3.rename_object(**rename, DestinationIfMatch=etag)
    assert (keys(s3, bucket), s3.get_object(Bucket=bucket, Key="b")["Body"].read()) == (["b"], b"a")


def test_a_client_token_is_of_one_request(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    first = {"Bucket": bucket, "Key": "b", "RenameSource": "a", "ClientToken": "t-1"}
    s3.rename_object(**first)
    s3.rename_object(**first)
    s3.put_object(Bucket=bucket, Key="a", Body=b"another")
    s3.rename_object(**first)
    # The SDKs have a class for the error.
    with pytest.raises(s3.exceptions.IdempotencyParameterMismatch):
        s3.rename_object(**{**first, "Key": "c"})
    assert keys(s3, bucket) == ["a", "b"]
    assert s3.get_object(Bucket=bucket, Key="b")["Body"].read() == b"a"


def test_aws_cli(s3, bucket, server, tmp_path):
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    # It makes a client token for each call.
    aws = tools.aws_cli(server.endpoint, tmp_path)
    aws.run("s3api", "rename-object", "--bucket", bucket, "--key", "b", "--rename-source", "a")
    assert keys(s3, bucket) == ["b"]


def test_both_ends_and_the_tags_need_permissions(start, tmp_path):
    cairn = start("cluster", datanodes=1)
    people, root = People(cairn, tmp_path), cairn.client()
    root.create_bucket(Bucket="shared")
    arn = "arn:aws:s3:::shared"

    def attempt(*statements, tagged=False):
        tagging = {"Tagging": "team=blue"} if tagged else {}
        root.put_object(Bucket="shared", Key="from/k", Body=b"body", **tagging)
        client = people.client(people.user(*statements)[0])
        client.rename_object(Bucket="shared", Key="to/k", RenameSource="from/k")
        root.delete_object(Bucket="shared", Key="to/k")

    read, delete = allow("s3:GetObject", f"{arn}/from/*"), allow("s3:DeleteObject", f"{arn}/from/*")
    write = allow("s3:PutObject", f"{arn}/to/*")
    tags = allow("s3:GetObjectTagging", f"{arn}/from/*"), allow("s3:PutObjectTagging", f"{arn}/to/*")
    attempt(read, delete, write)
    attempt(read, delete, write, *tags, tagged=True)
    for lacking in ([read, delete], [read, write], [delete, write]):
        with s3_error("AccessDenied", 403):
            attempt(*lacking)
    for lacking in tags:
        with s3_error("AccessDenied", 403):
            attempt(read, delete, write, lacking, tagged=True)
    assert keys(root, "shared") == ["from/k"]


def test_a_metanode_killed_in_the_middle_of_renames_leaves_each_object_under_one_key(start):
    # A client that gets no answer tries again, with the same token as the SDKs do.
    cluster = start("cluster", datanodes=1)
    s3 = cluster.client(retries={"total_max_attempts": 10})
    s3.create_bucket(Bucket="bucket")
    count = 60
    for n in range(count):
        s3.put_object(Bucket="bucket", Key=f"old/{n:03}", Body=str(n).encode())
    half = threading.Event()

    def restart():
        half.wait(60)
        cluster.metanode.kill()
        cluster.metanode.restart()

    restarting = threading.Thread(target=restart)
    restarting.start()
    for n in range(count):
        if n == count // 2:
            half.set()
        s3.rename_object(Bucket="bucket", Key=f"new/{n:03}", RenameSource=f"old/{n:03}", DestinationIfNoneMatch="*")
    restarting.join()
    assert keys(s3, "bucket") == [f"new/{n:03}" for n in range(count)]
    for n in range(count):
        assert s3.get_object(Bucket="bucket", Key=f"new/{n:03}")["Body"].read() == str(n).encode()
    report = cluster.admin_json("fsck")
    assert report["clean"], report
