"""Conditional reads and writes. Source: AWS's user guide, "Conditional requests"."""

import concurrent.futures
import datetime

import pytest
from data import MIB, some_bytes
from errors import outcome, s3_error

LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
WRONG = '"00000000000000000000000000000000"'


def test_reads_with_conditions(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"body")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    get = {"Bucket": bucket, "Key": "k"}
    assert outcome(s3.get_object, **get, IfMatch=etag) == "ok"
    assert outcome(s3.get_object, **get, IfMatch="*") == "ok"
    assert outcome(s3.get_object, **get, IfMatch=f"{WRONG}, {etag}") == "ok"
    with s3_error("PreconditionFailed", 412):
        s3.get_object(**get, IfMatch=WRONG)
    with s3_error("304", 304):
        s3.get_object(**get, IfNoneMatch=etag)
    with s3_error("304", 304):
        s3.head_object(**get, IfNoneMatch=etag)
    assert outcome(s3.get_object, **get, IfNoneMatch=WRONG) == "ok"
    with s3_error("304", 304):
        s3.get_object(**get, IfModifiedSince=modified)
    assert outcome(s3.get_object, **get, IfModifiedSince=LONG_AGO) == "ok"
    with s3_error("PreconditionFailed", 412):
        s3.get_object(**get, IfUnmodifiedSince=LONG_AGO)
    with s3_error("412", 412):
        s3.head_object(**get, IfUnmodifiedSince=LONG_AGO)
    # AWS, GetObject: If-Match true and If-Unmodified-Since false is 200;
    # If-None-Match false and If-Modified-Since true is 304.
    assert outcome(s3.get_object, **get, IfMatch=etag, IfUnmodifiedSince=LONG_AGO) == "ok"
    with s3_error("304", 304):
        s3.get_object(**get, IfNoneMatch=etag, IfModifiedSince=LONG_AGO)


def test_a_put_with_if_none_match_writes_only_new_keys(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"first", IfNoneMatch="*")
    with s3_error("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"second", IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"first"
    s3.delete_object(Bucket=bucket, Key="k")
    s3.put_object(Bucket=bucket, Key="k", Body=b"third", IfNoneMatch="*")
    # AWS accepts only `*` in If-None-Match of a write.
    with s3_error("NotImplemented", 501):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", IfNoneMatch=WRONG)


def test_a_put_with_if_match_replaces_only_that_etag(s3, bucket):
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"first")["ETag"]
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"second", IfMatch=first)["ETag"]
    with s3_error("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"third", IfMatch=first)
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"] == second
    # AWS answers 404 to If-Match for a key without an object.
    with s3_error("NoSuchKey", 404):
        s3.put_object(Bucket=bucket, Key="missing", Body=b"x", IfMatch=first)


def test_a_delete_with_if_match_deletes_only_that_etag(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"first")["ETag"]
    with s3_error("PreconditionFailed", 412):
        s3.delete_object(Bucket=bucket, Key="k", IfMatch=WRONG)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"first"
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag)
    with s3_error("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")


def test_copy_with_conditions_on_the_source(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="a", Body=b"body")["ETag"]
    copy = {"Bucket": bucket, "Key": "b", "CopySource": {"Bucket": bucket, "Key": "a"}}
    assert outcome(s3.copy_object, **copy, CopySourceIfMatch=etag) == "ok"
    assert outcome(s3.copy_object, **copy, CopySourceIfNoneMatch=WRONG) == "ok"
    assert outcome(s3.copy_object, **copy, CopySourceIfModifiedSince=LONG_AGO) == "ok"
    for condition in (
        {"CopySourceIfMatch": WRONG},
        {"CopySourceIfNoneMatch": etag},
        {"CopySourceIfUnmodifiedSince": LONG_AGO},
    ):
        with s3_error("PreconditionFailed", 412):
            s3.copy_object(**copy, **condition)


def test_copy_with_conditions_on_the_destination(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"body")
    copy = {"Bucket": bucket, "Key": "b", "CopySource": {"Bucket": bucket, "Key": "a"}}
    etag = s3.copy_object(**copy, IfNoneMatch="*")["CopyObjectResult"]["ETag"]
    with s3_error("PreconditionFailed", 412):
        s3.copy_object(**copy, IfNoneMatch="*")
    s3.copy_object(**copy, IfMatch=etag)
    with s3_error("PreconditionFailed", 412):
        s3.copy_object(**copy, IfMatch=WRONG)


def test_completion_with_conditions(s3, bucket):
    def uploaded():
        upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
        part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
        parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
        return {"UploadId": upload, "MultipartUpload": {"Parts": parts}}

    done = s3.complete_multipart_upload(Bucket=bucket, Key="k", **uploaded(), IfNoneMatch="*")
    with s3_error("PreconditionFailed", 412):
        s3.complete_multipart_upload(Bucket=bucket, Key="k", **uploaded(), IfNoneMatch="*")
    with s3_error("PreconditionFailed", 412):
        s3.complete_multipart_upload(Bucket=bucket, Key="k", **uploaded(), IfMatch=WRONG)
    s3.complete_multipart_upload(Bucket=bucket, Key="k", **uploaded(), IfMatch=done["ETag"])


@pytest.mark.parametrize("length", [10, 3 * MIB], ids=["small", "large"])
def test_one_of_fifty_writers_over_two_gateways_wins(start, length):
    cluster = start("cluster", gateways=2)
    clients = [cluster.client(0), cluster.client(1)]
    clients[0].create_bucket(Bucket="race")
    bodies = [some_bytes(length, n) for n in range(50)]
    for key in ("first", "second", "third"):

        def put(n, key=key):
            return outcome(clients[n % 2].put_object, Bucket="race", Key=key, Body=bodies[n], IfNoneMatch="*")

        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            outcomes = list(pool.map(put, range(50)))
        assert outcomes.count("ok") == 1, outcomes
        # AWS may also answer 409 while another write is in progress.
        assert set(outcomes) <= {"ok", "PreconditionFailed", "ConditionalRequestConflict"}
        winner = bodies[outcomes.index("ok")]
        for client in clients:
            assert client.get_object(Bucket="race", Key=key)["Body"].read() == winner


def test_one_of_many_swaps_wins_each_round(start):
    cluster = start("cluster", gateways=2, datanodes=1, replication=1)
    clients = [cluster.client(0), cluster.client(1)]
    clients[0].create_bucket(Bucket="swap")
    etag = clients[0].put_object(Bucket="swap", Key="k", Body=b"start")["ETag"]
    for round_number in range(5):

        def swap(n, etag=etag, round_number=round_number):
            body = f"{round_number} {n}".encode()
            return outcome(clients[n % 2].put_object, Bucket="swap", Key="k", Body=body, IfMatch=etag)

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            outcomes = list(pool.map(swap, range(16)))
        assert outcomes.count("ok") == 1, outcomes
        got = clients[1].get_object(Bucket="swap", Key="k")
        assert got["Body"].read() == f"{round_number} {outcomes.index('ok')}".encode()
        etag = got["ETag"]
