"""Outcomes: each request takes effect once and its client gets that outcome, even if the metanode dies before it answers.
Also: concurrent changes of one upload, reads that take longer than the grace period, and the expiry of uploads."""

import concurrent.futures
import hashlib
import http.client
import threading
import urllib.parse
import xml.etree.ElementTree

import botocore.exceptions
import pytest
from between import Between
from data import MIB, some_bytes
from harness import REGION, s3_client, wait_until


@pytest.fixture
def behind_a_door(start):
    """A cluster and a client whose gateway reaches the metanode through a `Between` proxy, which can drop an answer."""
    cluster = start("cluster", datanodes=1, replication=1)
    door = Between(cluster.metanode.url)
    args = ["gateway", "--listen", "127.0.0.1:0", "--metanode", door.url]
    gateway = cluster.run("gateway-behind", args, cluster.env | {"CAIRN_REGION": REGION})
    cluster.gateways.append(gateway)
    client = s3_client(gateway.url)
    client.create_bucket(Bucket="bucket")
    yield cluster, door, client
    door.close()


def lose(cluster, door, operation, call):
    """Runs `call`. The metanode executes `operation` and is killed before the gateway gets the answer, and is restarted."""
    door.lose(f"/v1/metadata/{operation}", cluster.metanode.kill)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(call)
        assert door.lost.wait(60), f"{operation} was not called"
        cluster.metanode.restart()
        return answer.result(60)


def test_a_conditional_copy_succeeds_although_the_metanode_dies_after_the_commit(behind_a_door):
    cluster, door, client = behind_a_door
    client.put_object(Bucket="bucket", Key="source", Body=b"bytes")

    def copy():
        return client.copy_object(
            Bucket="bucket", Key="copy", CopySource="bucket/source", IfNoneMatch="*"
        )

    answer = lose(cluster, door, "copy_object", copy)
    assert answer["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(b"bytes").hexdigest()}"'
    # The copy was made once. The same request again finds it, and its condition fails.
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        copy()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412


def begin_copy(gateway, key):
    """Sends CopyObject as a presigned request; returns the response once its head has arrived."""
    client = s3_client(gateway.url, signature_version="s3v4")
    parameters = {"Bucket": "bucket", "Key": key, "CopySource": "bucket/source"}
    url = urllib.parse.urlsplit(client.generate_presigned_url("copy_object", Params=parameters))
    connection = http.client.HTTPConnection(url.netloc, timeout=60)
    connection.request("PUT", f"{url.path}?{url.query}", headers={"x-amz-copy-source": "bucket/source"})
    return connection.getresponse()


def test_a_copy_that_takes_long_is_answered_early_and_boto3_reads_its_end(behind_a_door):
    cluster, door, client = behind_a_door
    client.put_object(Bucket="bucket", Key="source", Body=b"bytes")
    client.put_object(Bucket="bucket", Key="there", Body=b"other")
    release = door.hold("/v1/metadata/copy_object")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        copy = {"Bucket": "bucket", "CopySource": "bucket/source"}
        good = pool.submit(client.copy_object, Key="copy", **copy)
        bad = pool.submit(client.copy_object, Key="there", IfNoneMatch="*", **copy)
        # This copy is requested after the other two, so their answers have begun when its answer begins.
        wait_until(lambda: door.held() == 2, "both copies to be held up")
        raw = begin_copy(cluster.gateways[1], "raw")
        assert raw.status == 200
        release.set()
        assert good.result(60)["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(b"bytes").hexdigest()}"'
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            bad.result(60)
        assert refused.value.response["Error"]["Code"] == "PreconditionFailed"
    body = raw.read()
    assert body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n')
    assert xml.etree.ElementTree.fromstring(body).tag.endswith("CopyObjectResult")
    assert client.get_object(Bucket="bucket", Key="copy")["Body"].read() == b"bytes"
    assert client.get_object(Bucket="bucket", Key="there")["Body"].read() == b"other"


def test_completions_during_part_uploads_and_aborts_never_fail_with_invalid_part(start):
    """Two completions of one upload run at the same time as a repeated upload of its part, or as an abort. Each completion
    succeeds or fails with NoSuchUpload, never with InvalidPart."""
    server = start("server")
    client = server.client(retries={"total_max_attempts": 1})
    client.create_bucket(Bucket="bucket")
    etag = f'"{hashlib.md5(b"part").hexdigest()}"'
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}

    def attempt(call, **arguments):
        try:
            call(**arguments)
            return "done"
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Code"]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for n in range(60):
            upload = {"Bucket": "bucket", "Key": f"k{n}"}
            upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
            client.upload_part(PartNumber=1, Body=b"part", **upload)
            barrier = threading.Barrier(5 if n % 2 else 4)

            def together(call, barrier=barrier, **arguments):
                barrier.wait(30)
                return attempt(call, **arguments)

            completions = [
                pool.submit(together, client.complete_multipart_upload, MultipartUpload=parts, **upload)
                for _ in range(2)
            ]
            others = [
                pool.submit(together, client.upload_part, PartNumber=1, Body=b"part", **upload) for _ in range(2)
            ]
            if n % 2:
                others.append(pool.submit(together, client.abort_multipart_upload, **upload))
            outcomes = [completion.result(60) for completion in completions]
            others = [other.result(60) for other in others]
            assert set(outcomes + others) <= {"done", "NoSuchUpload"}, (outcomes, others)
            if not n % 2:
                assert outcomes == ["done", "done"]
                assert client.get_object(Bucket="bucket", Key=f"k{n}")["Body"].read() == b"part"


def test_a_read_that_lasts_longer_than_the_grace_period_ends_with_the_bytes_it_began_with(start):
    cluster = start("cluster", datanodes=1, replication=1, env={"CAIRN_GC_GRACE": "1s", "CAIRN_LEASE": "1s"})
    client = cluster.client()
    client.create_bucket(Bucket="bucket")
    old = some_bytes(96 * MIB, 1)
    client.put_object(Bucket="bucket", Key="k", Body=old)
    blocks = cluster.status()["blocks"]
    stream = client.get_object(Bucket="bucket", Key="k")["Body"]
    read = [stream.read(100_000)]
    client.put_object(Bucket="bucket", Key="k", Body=b"new")
    # Four later objects are written, deleted and collected, so several grace periods pass during the read.
    for n in range(4):
        client.put_object(Bucket="bucket", Key="other", Body=some_bytes(MIB, n))
        client.delete_object(Bucket="bucket", Key="other")
        wait_until(lambda: cluster.status()["blocks"] <= blocks + 1, "a later object to be collected")
    read.append(stream.read())
    assert b"".join(read) == old
    # The blocks of the old object are collected when the read has ended.
    wait_until(lambda: cluster.status()["blocks"] == 1, "the old object to be collected")
    cluster.check()


def test_an_abandoned_upload_expires(start):
    env = {"CAIRN_GC_GRACE": "1s", "CAIRN_LEASE": "1s", "CAIRN_UPLOAD_EXPIRY": "3s"}
    cluster = start("cluster", datanodes=1, replication=1, env=env)
    client = cluster.client()
    client.create_bucket(Bucket="bucket")
    upload = {"Bucket": "bucket", "Key": "k"}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    client.upload_part(PartNumber=1, Body=b"part", **upload)
    with cluster.events() as events:
        event = events.wait_for("UploadExpired", bucket="bucket", key="k")
        assert event["upload"]
        events.wait_for("GarbageIdle")
    assert "Uploads" not in client.list_multipart_uploads(Bucket="bucket")
    with pytest.raises(client.exceptions.NoSuchUpload):
        client.list_parts(**upload)
    workers = {worker["worker"]: worker for worker in cluster.status()["workers"]}
    assert "gave up 1 abandoned uploads" in workers["uploads"]["doing"]
    cluster.check()
