"""Quotas of buckets and users, by the command line, boto3, aws-cli and raw HTTP. See docs/quotas.md."""

import concurrent.futures
import itertools

import botocore.exceptions
import harness
import pytest
import tools
from data import MIB
from errors import s3_error
from people import People, allow
from raw import UNSIGNED, Raw

numbers = itertools.count()


@pytest.fixture(scope="module")
def cairn(tmp_path_factory):
    cluster = harness.start_cluster(tmp_path_factory.mktemp("quotas"), datanodes=1)
    yield cluster
    cluster.stop()


@pytest.fixture
def s3(cairn):
    return cairn.client()


@pytest.fixture
def limited(cairn, s3):
    """A function that makes a bucket with a quota."""

    def make(*options):
        name = f"limited-{next(numbers)}"
        s3.create_bucket(Bucket=name)
        cairn.admin("bucket", "set", name, *options)
        return name

    return make


def usage(cairn, bucket):
    used = cairn.admin_json("bucket", "show", bucket)["usage"]
    return used["objects"], used["bytes"]


def test_a_write_beyond_a_quota_is_refused_once_and_stores_nothing(cairn, s3, limited):
    bucket = limited("--quota", "1MiB", "--quota-objects", "3")
    s3.put_object(Bucket=bucket, Key="a", Body=bytes(600_000))
    # The SDKs' own retries: a client that repeated the request would do so for nothing.
    patient = cairn.client(retries={"mode": "standard", "total_max_attempts": 4})
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        patient.put_object(Bucket=bucket, Key="b", Body=bytes(600_000))
    assert refused.value.response["Error"]["Code"] == "QuotaExceeded"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert refused.value.response["ResponseMetadata"]["RetryAttempts"] == 0
    assert "bytes of the bucket" in refused.value.response["Error"]["Message"]
    with s3_error("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="b")
    # Replacing needs room for the difference.
    s3.put_object(Bucket=bucket, Key="a", Body=bytes(MIB))
    with s3_error("QuotaExceeded", 403):
        s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/a")
    assert usage(cairn, bucket) == (1, MIB)
    s3.delete_object(Bucket=bucket, Key="a")
    for key in "abc":
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    with s3_error("QuotaExceeded", 403):
        s3.put_object(Bucket=bucket, Key="d", Body=b"")
    with s3_error("QuotaExceeded", 403):
        s3.create_multipart_upload(Bucket=bucket, Key="d")
    cairn.admin("bucket", "set", bucket, "--quota-objects", "none")
    s3.put_object(Bucket=bucket, Key="d", Body=b"")
    assert usage(cairn, bucket) == (4, 0)


def test_a_client_that_waits_for_100_continue_does_not_send_its_body(cairn, limited):
    bucket = limited("--quota", "1MiB")
    raw = Raw(cairn.gateways[0].port)
    unsigned = [("content-length", str(64 * MIB)), ("expect", "100-continue")]
    signed = raw.sign("PUT", f"/{bucket}/k", payload=UNSIGNED, unsigned=unsigned)
    with raw.connect() as connection:
        answer = connection.exchange(signed.head, "PUT")
        assert (answer.status, answer.code) == (403, "QuotaExceeded")


def test_multipart_uploads(cairn, s3, limited):
    bucket = limited("--quota", "12MiB", "--quota-objects", "1")
    upload = {"Bucket": bucket, "Key": "k", "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]}
    one = s3.upload_part(**upload, PartNumber=1, Body=bytes(6 * MIB))["ETag"]
    s3.upload_part(**upload, PartNumber=2, Body=bytes(6 * MIB))
    with s3_error("QuotaExceeded", 403):
        s3.upload_part(**upload, PartNumber=3, Body=bytes(2 * MIB))
    with s3_error("QuotaExceeded", 403):
        s3.upload_part(**upload, PartNumber=3, Body=b"x")
    # A part that replaces another one has its room.
    two = s3.upload_part(**upload, PartNumber=2, Body=bytes(5 * MIB))["ETag"]
    assert usage(cairn, bucket) == (1, 11 * MIB)
    s3.complete_multipart_upload(
        **upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": one}, {"PartNumber": 2, "ETag": two}]}
    )
    assert usage(cairn, bucket) == (1, 11 * MIB)
    s3.delete_object(Bucket=bucket, Key="k")
    again = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="k", UploadId=again, PartNumber=1, Body=bytes(MIB))
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=again)
    assert usage(cairn, bucket) == (0, 0)


def test_versions_count_and_deletes_always_work(cairn, s3, limited):
    bucket = limited("--quota-objects", "2")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"first")["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"second")
    with s3_error("QuotaExceeded", 403):
        s3.put_object(Bucket=bucket, Key="k", Body=b"third")
    s3.delete_object(Bucket=bucket, Key="k")
    assert usage(cairn, bucket) == (3, 11)
    marker = s3.list_object_versions(Bucket=bucket)["DeleteMarkers"][0]["VersionId"]
    s3.delete_object(Bucket=bucket, Key="k", VersionId=marker)
    with s3_error("QuotaExceeded", 403):
        # The old version stays, so a rename needs room for another one.
        s3.rename_object(Bucket=bucket, Key="l", RenameSource="k")
    s3.delete_object(Bucket=bucket, Key="k", VersionId=first)
    assert usage(cairn, bucket) == (1, 6)
    s3.put_object(Bucket=bucket, Key="k", Body=b"third")


def test_a_user_has_a_quota_over_all_buckets(cairn, s3, tmp_path):
    people = People(cairn, tmp_path)
    key, arn = people.user(allow("s3:*", "*"))
    name = arn.rpartition("/")[2]
    ann = people.client(key)
    buckets = [f"of-ann-{next(numbers)}" for _ in range(2)]
    for bucket in buckets:
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="roots", Body=bytes(100))
        ann.put_object(Bucket=bucket, Key="k", Body=bytes(10))
    shown = cairn.admin_json("user", "set", name, "--quota", "25B")
    assert (shown["usage"], shown["quota"]) == ({"objects": 2, "bytes": 20}, {"objects": None, "bytes": 25})
    with pytest.raises(botocore.exceptions.ClientError, match="quota of bytes of the user"):
        ann.put_object(Bucket=buckets[0], Key="l", Body=bytes(6))
    ann.put_object(Bucket=buckets[0], Key="l", Body=bytes(5))
    # The quota is the user's, and not that of root.
    s3.put_object(Bucket=buckets[0], Key="k", Body=bytes(50))
    assert cairn.admin_json("user", "show", name)["usage"] == {"objects": 2, "bytes": 15}
    ann.put_object(Bucket=buckets[1], Key="m", Body=bytes(10))


def test_exactly_as_many_writes_at_once_succeed_as_fit(cairn, s3, limited):
    bucket = limited("--quota-objects", "20", "--quota", "20KiB")

    def put(n):
        try:
            s3.put_object(Bucket=bucket, Key=str(n), Body=bytes(1024))
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Code"]
        return "done"

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        outcomes = list(pool.map(put, range(64)))
    assert (outcomes.count("done"), outcomes.count("QuotaExceeded")) == (20, 44)
    assert len(s3.list_objects_v2(Bucket=bucket)["Contents"]) == 20
    assert usage(cairn, bucket) == (20, 20 * 1024)


def test_aws_cli_says_why(cairn, limited, tmp_path):
    bucket = limited("--quota", "10B")
    (tmp_path / "file").write_bytes(bytes(11))
    aws = tools.aws_cli(cairn.gateways[0].url, tmp_path)
    done = aws.run("s3", "cp", tmp_path / "file", f"s3://{bucket}/file", check=False)
    assert done.returncode != 0
    assert b"QuotaExceeded" in done.stderr


def test_the_command_shows_buckets_and_users(cairn, s3, limited):
    bucket = limited("--quota", "1GiB", "--quota-objects", "7")
    s3.put_object(Bucket=bucket, Key="k", Body=bytes(1024))
    listed = {entry["bucket"]: entry for entry in cairn.admin_json("bucket", "list")}
    assert listed[bucket]["usage"] == {"objects": 1, "bytes": 1024}
    assert listed[bucket]["quota"] == {"objects": 7, "bytes": 1 << 30}
    line = next(line for line in cairn.admin("bucket", "list").splitlines() if line.startswith(bucket))
    assert "1 of 7" in line and "1.0 KiB of 1.0 GiB" in line
    assert bucket in cairn.admin("status")
    assert any(entry["bucket"] == bucket for entry in cairn.status()["buckets"])
    report = cairn.admin_json("fsck")
    assert report["clean"], report


def test_a_killed_metanode_counts_right(start):
    cluster = start("cluster", datanodes=1)
    s3 = cluster.client(retries={"total_max_attempts": 10})
    s3.create_bucket(Bucket="bucket")
    for n in range(40):
        if n == 20:
            cluster.metanode.kill()
            cluster.metanode.restart()
        s3.put_object(Bucket="bucket", Key=str(n % 25), Body=bytes(n))
    there = [entry["Size"] for entry in s3.list_objects_v2(Bucket="bucket")["Contents"]]
    assert usage(cluster, "bucket") == (len(there), sum(there))
    report = cluster.admin_json("fsck")
    assert report["clean"], report
