"""Multipart uploads, with boto3."""

import hashlib

import pytest
from data import MIB, some_bytes
from errors import s3_error
from raw import Raw


def upload_part(s3, bucket, key, upload, number, body):
    part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)
    return {"PartNumber": number, "ETag": part["ETag"]}


@pytest.fixture
def upload(s3, bucket):
    return s3.create_multipart_upload(Bucket=bucket, Key="k", Metadata={"m": "1"})["UploadId"]


def complete(s3, bucket, upload, parts):
    return s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": parts}
    )


def test_parts_become_an_object(s3, bucket, upload):
    bodies = {1: some_bytes(5 * MIB, 1), 5: some_bytes(6 * MIB + 1, 2), 10_000: some_bytes(7, 3)}
    # Parts may arrive in any order.
    parts = {n: upload_part(s3, bucket, "k", upload, n, bodies[n]) for n in (10_000, 1, 5)}
    done = complete(s3, bucket, upload, [parts[n] for n in sorted(parts)])
    digests = b"".join(hashlib.md5(bodies[n]).digest() for n in sorted(bodies))
    assert done["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["ETag"] == done["ETag"]
    assert got["Metadata"] == {"m": "1"}
    assert got["Body"].read() == b"".join(bodies[n] for n in sorted(bodies))
    with s3_error("NoSuchUpload", 404):
        s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)


def test_a_single_part_can_be_read(s3, bucket, upload):
    bodies = [some_bytes(5 * MIB, 1), some_bytes(100, 2)]
    parts = [upload_part(s3, bucket, "k", upload, n, body) for n, body in enumerate(bodies, 1)]
    complete(s3, bucket, upload, parts)
    got = s3.get_object(Bucket=bucket, Key="k", PartNumber=2)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["PartsCount"] == 2
    assert got["ContentRange"] == f"bytes {5 * MIB}-{5 * MIB + 99}/{5 * MIB + 100}"
    assert got["Body"].read() == bodies[1]
    with s3_error("InvalidPartNumber", 416):
        s3.get_object(Bucket=bucket, Key="k", PartNumber=3)


def test_a_part_sent_again_replaces_the_first(s3, bucket, upload):
    old = upload_part(s3, bucket, "k", upload, 1, b"old")
    new = upload_part(s3, bucket, "k", upload, 1, b"new")
    with s3_error("InvalidPart", 400):
        complete(s3, bucket, upload, [old])
    complete(s3, bucket, upload, [new])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"new"


def test_only_the_parts_that_are_named_are_used(s3, bucket, upload):
    parts = [upload_part(s3, bucket, "k", upload, n, some_bytes(5 * MIB, n)) for n in (1, 2, 3)]
    complete(s3, bucket, upload, [parts[0], parts[2]])
    body = s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    assert body == some_bytes(5 * MIB, 1) + some_bytes(5 * MIB, 3)


def test_completion_refuses_wrong_lists_of_parts(s3, bucket, upload):
    small = [upload_part(s3, bucket, "k", upload, n, b"small") for n in (1, 2)]
    with s3_error("EntityTooSmall", 400):
        complete(s3, bucket, upload, small)
    with s3_error("InvalidPartOrder", 400):
        complete(s3, bucket, upload, small[::-1])
    with s3_error("InvalidPart", 400):
        complete(s3, bucket, upload, [small[0], {"PartNumber": 3, "ETag": small[1]["ETag"]}])
    with s3_error("InvalidPart", 400):
        complete(s3, bucket, upload, [{"PartNumber": 1, "ETag": f'"{"0" * 32}"'}])
    with s3_error("MalformedXML", 400):
        complete(s3, bucket, upload, [])
    with s3_error("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")
    # The refused completions left the upload unchanged.
    complete(s3, bucket, upload, small[:1])


def test_completion_can_be_repeated(s3, bucket, upload):
    parts = [upload_part(s3, bucket, "k", upload, 1, b"body")]
    first = complete(s3, bucket, upload, parts)
    second = complete(s3, bucket, upload, parts)
    assert first["ETag"] == second["ETag"]


def test_an_aborted_upload_is_gone(s3, bucket, upload):
    upload_part(s3, bucket, "k", upload, 1, some_bytes(MIB))
    answer = s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    with s3_error("NoSuchUpload", 404):
        upload_part(s3, bucket, "k", upload, 2, b"x")
    with s3_error("NoSuchUpload", 404):
        complete(s3, bucket, upload, [{"PartNumber": 1, "ETag": "x"}])
    with s3_error("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize("upload_id", ["no-such-upload", "a" * 2_000, "../..", "%00"])
def test_an_unknown_upload_id_is_no_such_upload(s3, bucket, upload_id):
    with s3_error("NoSuchUpload", 404):
        upload_part(s3, bucket, "k", upload_id, 1, b"x")


@pytest.mark.parametrize("number", ["0", "10001", "-1", "abc", "1.5", "99999999999999999999"])
def test_part_numbers_are_1_to_10000(server, bucket, upload, number):
    query = f"partNumber={number}&uploadId={upload}"
    answer = Raw(server.port).send("PUT", f"/{bucket}/k", query=query, body=b"x")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_parts_can_be_copied_from_objects(s3, bucket, upload):
    source = some_bytes(17 * MIB)
    s3.put_object(Bucket=bucket, Key="source", Body=source)
    copy = {"Bucket": bucket, "Key": "k", "UploadId": upload, "CopySource": f"{bucket}/source"}
    first = s3.upload_part_copy(**copy, PartNumber=1, CopySourceRange=f"bytes=3-{10 * MIB}")
    second = s3.upload_part_copy(**copy, PartNumber=2)
    with s3_error("InvalidArgument", 400):
        s3.upload_part_copy(**copy, PartNumber=3, CopySourceRange="bytes=5-")
    with s3_error("InvalidArgument", 400):
        s3.upload_part_copy(**copy, PartNumber=3, CopySourceRange=f"bytes=0-{17 * MIB}")
    etags = [answer["CopyPartResult"]["ETag"] for answer in (first, second)]
    expected = [source[3 : 10 * MIB + 1], source]
    assert etags[0] == f'"{hashlib.md5(expected[0]).hexdigest()}"'
    complete(s3, bucket, upload, [{"PartNumber": n, "ETag": e} for n, e in enumerate(etags, 1)])
    s3.delete_object(Bucket=bucket, Key="source")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"".join(expected)


def test_parts_are_listed_in_pages(s3, bucket, upload):
    etags = {n: upload_part(s3, bucket, "k", upload, n, b"%d" % n)["ETag"] for n in range(1, 8)}
    page = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload, MaxParts=3)
    assert page["IsTruncated"] and page["NextPartNumberMarker"] == 3
    assert page["StorageClass"] == "STANDARD"
    seen = {}
    for page in s3.get_paginator("list_parts").paginate(
        Bucket=bucket, Key="k", UploadId=upload, PaginationConfig={"PageSize": 3}
    ):
        seen |= {p["PartNumber"]: p["ETag"] for p in page["Parts"]}
        assert all(p["Size"] == 1 and p["LastModified"] for p in page["Parts"])
    assert seen == etags


def test_uploads_are_listed_in_pages_and_by_prefix(s3, bucket):
    keys = ["a/1", "a/2", "b/1", "b/1", "c"]
    ids = [s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in keys]
    seen = []
    for page in s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 2}
    ):
        assert len(page.get("Uploads", [])) <= 2
        seen += [(u["Key"], u["UploadId"]) for u in page.get("Uploads", [])]
    assert sorted(seen) == sorted(zip(keys, ids, strict=True))
    assert [key for key, _ in seen] == keys
    by_prefix = s3.list_multipart_uploads(Bucket=bucket, Prefix="a/")
    assert [u["Key"] for u in by_prefix["Uploads"]] == ["a/1", "a/2"]
    grouped = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [p["Prefix"] for p in grouped["CommonPrefixes"]] == ["a/", "b/"]
    assert [u["Key"] for u in grouped["Uploads"]] == ["c"]


def test_an_unfinished_upload_shows_nowhere_else(s3, bucket, upload):
    upload_part(s3, bucket, "k", upload, 1, b"x")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    with s3_error("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")
