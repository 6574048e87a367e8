"""Objects, with boto3 and its current defaults."""

import datetime
import hashlib
import io

import pytest
from data import MIB, some_bytes
from errors import s3_error
from harness import s3_client


@pytest.mark.parametrize("length", [0, 1, 65_535, 65_536, 65_537, 8 * MIB, 8 * MIB + 1, 20 * MIB + 7])
def test_an_object_is_read_back_as_it_was_put(s3, bucket, length):
    # The lengths lie around the sizes of a chunk (64 KiB) and a block (8 MiB).
    body = some_bytes(length)
    put = s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["ContentLength"] == length
    assert got["ETag"] == put["ETag"]
    assert got["Body"].read() == body


def test_a_put_replaces_the_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"first", Metadata={"a": "1"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"second")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["Metadata"]) == (b"second", {})


def test_headers_and_metadata_are_kept(s3, bucket):
    given = {
        "ContentType": "text/plain; charset=utf-8",
        "ContentEncoding": "gzip",
        "ContentDisposition": 'attachment; filename="a.txt"',
        "ContentLanguage": "de-CH",
        "CacheControl": "no-cache",
        "Metadata": {"colour": "blue", "empty-dash": "x y  z"},
    }
    expires = datetime.datetime(2031, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Expires=expires, **given)
    for answer in (s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")):
        assert {name: answer[name] for name in given} == given
        assert answer["ExpiresString"] == "Tue, 06 May 2031 07:08:09 GMT"
        assert answer["AcceptRanges"] == "bytes"
    # AWS's default content type.
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    assert s3.head_object(Bucket=bucket, Key="plain")["ContentType"] == "binary/octet-stream"


def test_metadata_has_a_limit(s3, bucket):
    # AWS limits the sum of the lengths of names and values to 2 KB.
    s3.put_object(Bucket=bucket, Key="k", Body=b"", Metadata={"a": "x" * 2_000})
    with s3_error("MetadataTooLarge", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"", Metadata={"a": "x" * 2_100})


def test_a_signed_get_can_override_headers(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain")
    got = s3.get_object(
        Bucket=bucket,
        Key="k",
        ResponseContentType="application/json",
        ResponseContentDisposition="inline",
        ResponseCacheControl="max-age=1",
        ResponseContentLanguage="fr",
        ResponseContentEncoding="br",
    )
    assert got["ContentType"] == "application/json"
    assert got["ContentDisposition"] == "inline"
    assert got["CacheControl"] == "max-age=1"
    assert got["ContentLanguage"] == "fr"
    assert got["ContentEncoding"] == "br"


@pytest.mark.parametrize(
    ("given", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=8388607-8388608", 8_388_607, 8_388_608),  # in two blocks
        ("bytes=65530-65600", 65_530, 65_600),  # in two chunks
        ("bytes=9999990-", 9_999_990, 9_999_999),
        ("bytes=-5", 9_999_995, 9_999_999),
        ("bytes=-99999999", 0, 9_999_999),
        ("bytes=9999999-20000000", 9_999_999, 9_999_999),
    ],
)
def test_ranges(s3, ranged_object, given, first, last):
    bucket, body = ranged_object
    got = s3.get_object(Bucket=bucket, Key="k", Range=given)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["ContentRange"] == f"bytes {first}-{last}/{len(body)}"
    assert got["ContentLength"] == last - first + 1
    assert got["Body"].read() == body[first : last + 1]


@pytest.fixture(scope="module")
def ranged_object(shared_server):
    client = shared_server.client()
    client.create_bucket(Bucket="ranged")
    body = some_bytes(10_000_000)
    client.put_object(Bucket="ranged", Key="k", Body=body)
    return "ranged", body


def test_a_range_beyond_the_end_cannot_be_satisfied(s3, ranged_object):
    bucket, body = ranged_object
    for given in (f"bytes={len(body)}-", "bytes=99999999-", "bytes=-0"):
        with s3_error("InvalidRange", 416):
            s3.get_object(Bucket=bucket, Key="k", Range=given)


@pytest.mark.parametrize("given", ["bytes=5-2", "bytes=a-b", "chars=0-1", "bytes=", "0-1"])
def test_an_invalid_range_is_ignored(s3, ranged_object, given):
    # RFC 9110, 14.2: an invalid ranges-specifier is ignored, and the answer is the whole object.
    bucket, body = ranged_object
    got = s3.get_object(Bucket=bucket, Key="k", Range=given)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert got["ContentLength"] == len(body)
    got["Body"].close()


def test_head_answers_ranges_too(s3, ranged_object):
    bucket, _ = ranged_object
    assert s3.head_object(Bucket=bucket, Key="k", Range="bytes=0-9")["ContentLength"] == 10


def test_missing_objects(s3, bucket):
    with s3_error("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="missing")
    with s3_error("404", 404):
        s3.head_object(Bucket=bucket, Key="missing")
    # AWS: deleting a key without an object succeeds.
    assert s3.delete_object(Bucket=bucket, Key="missing")["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_a_deleted_object_is_gone(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=some_bytes(100_000))
    s3.delete_object(Bucket=bucket, Key="k")
    with s3_error("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_thousand_keys_are_deleted_at_once(s3, bucket):
    keys = [f"k{n:04}" for n in range(1_000)]
    for key in keys[:20]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k} for k in keys]})
    assert sorted(d["Key"] for d in answer["Deleted"]) == keys
    assert "Errors" not in answer
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    s3.put_object(Bucket=bucket, Key="quiet", Body=b"x")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "quiet"}], "Quiet": True})
    assert "Deleted" not in answer and "Errors" not in answer
    with s3_error("MalformedXML", 400):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"{n}"} for n in range(1_001)]})


def test_a_copy_is_the_same_object_elsewhere(s3, bucket):
    s3.create_bucket(Bucket=f"{bucket}-copy")
    body = some_bytes(9 * MIB)
    put = s3.put_object(Bucket=bucket, Key="a/ö +%.bin", Body=body, ContentType="text/x", Metadata={"m": "1"})
    copied = s3.copy_object(
        Bucket=f"{bucket}-copy", Key="b", CopySource={"Bucket": bucket, "Key": "a/ö +%.bin"}
    )
    assert copied["CopyObjectResult"]["ETag"] == put["ETag"]
    s3.delete_object(Bucket=bucket, Key="a/ö +%.bin")
    got = s3.get_object(Bucket=f"{bucket}-copy", Key="b")
    assert (got["ContentType"], got["Metadata"]) == ("text/x", {"m": "1"})
    assert got["Body"].read() == body


def test_a_copy_can_replace_metadata_even_onto_itself(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/x", Metadata={"m": "1"})
    source = {"Bucket": bucket, "Key": "k"}
    with s3_error("InvalidRequest", 400):
        s3.copy_object(Bucket=bucket, Key="k", CopySource=source)
    s3.copy_object(
        Bucket=bucket,
        Key="k",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"n": "2"},
        ContentType="text/y",
    )
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["ContentType"], got["Metadata"], got["Body"].read()) == ("text/y", {"n": "2"}, b"x")


def test_a_copy_of_a_missing_source_is_refused(s3, bucket):
    with s3_error("NoSuchKey", 404):
        s3.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "missing"})
    with s3_error("NoSuchBucket", 404):
        s3.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": "no-such-bucket", "Key": "x"})


def test_keys_have_a_limit(s3, bucket):
    # AWS limits keys to 1,024 bytes of UTF-8.
    for key in ("k" * 1_024, "ö" * 512):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"x"
    for key in ("k" * 1_025, "ö" * 513):
        with s3_error("KeyTooLongError", 400):
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")


def test_storage_classes(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="STANDARD")
    with s3_error("InvalidStorageClass", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="NO_SUCH_CLASS")


def test_files_of_unknown_length_and_many_threads(s3, bucket):
    # This uses boto3's transfer manager: parts of 8 MiB in ten threads.
    body = some_bytes(50 * MIB + 3)
    s3.upload_fileobj(io.BytesIO(body), bucket, "transfer")
    assert s3.head_object(Bucket=bucket, Key="transfer")["ContentLength"] == len(body)
    into = io.BytesIO()
    s3.download_fileobj(bucket, "transfer", into)
    assert into.getvalue() == body


def test_every_answer_has_a_request_id(s3, bucket):
    answer = s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"]


def test_an_unsigned_request_is_refused(server, bucket):
    import boto3
    import botocore
    import botocore.config

    anonymous = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        config=botocore.config.Config(signature_version=botocore.UNSIGNED),
    )
    with s3_error("AccessDenied", 403):
        anonymous.list_objects_v2(Bucket=bucket)
    with s3_error("InvalidAccessKeyId", 403):
        s3_client(server.endpoint, access_key="AKIANOBODY").list_objects_v2(Bucket=bucket)
    with s3_error("SignatureDoesNotMatch", 403):
        s3_client(server.endpoint, secret_key="wrong").list_objects_v2(Bucket=bucket)
