"""Versioned buckets, by boto3, aws-cli and rclone. Source: Amazon S3 User Guide, "Retaining multiple versions of objects with S3
Versioning", and the API reference of each operation."""

import json

import boto3.s3.transfer
import pytest
import requests
import tools
from data import MIB, some_bytes
from errors import s3_error


def enable(s3, bucket, status="Enabled"):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


@pytest.fixture
def versioned(s3, bucket):
    """An empty bucket whose versioning is enabled."""
    enable(s3, bucket)
    return bucket


def put(s3, bucket, key, body):
    return s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]


def get(s3, bucket, key, version=None):
    named = {"VersionId": version} if version else {}
    return s3.get_object(Bucket=bucket, Key=key, **named)["Body"].read()


def listed(s3, bucket, **options):
    """The versions and delete markers of all pages: (key, version id, is latest, is a delete marker)."""
    entries = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, **options):
        for kind in ("Versions", "DeleteMarkers"):
            for entry in page.get(kind, []):
                entries.append((entry["Key"], entry["VersionId"], entry["IsLatest"], kind == "DeleteMarkers"))
    return sorted(entries)


def test_the_state_of_versioning(s3, bucket):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert "VersionId" not in s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert "VersionId" not in s3.get_object(Bucket=bucket, Key="k")
    for status in ("Enabled", "Suspended", "Enabled"):
        enable(s3, bucket, status)
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status
    with s3_error("MalformedXML", 400):
        enable(s3, bucket, "Disabled")
    with s3_error("IllegalVersioningConfigurationException", 400):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"MFADelete": "Disabled"})
    with s3_error("NotImplemented", 501):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled", "MFADelete": "Enabled"})
    with s3_error("NoSuchBucket", 404):
        enable(s3, "no-such-bucket-here")
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.get_object(Bucket=bucket, Key="k")["VersionId"] == "null"


def test_every_write_makes_a_version_that_stays(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    enable(s3, bucket)
    one = put(s3, bucket, "k", b"one")
    two = put(s3, bucket, "k", b"two")
    assert len({one, two, "null"}) == 3
    assert (get(s3, bucket, "k"), get(s3, bucket, "k", one)) == (b"two", b"one")
    assert get(s3, bucket, "k", "null") == b"before"
    assert s3.head_object(Bucket=bucket, Key="k")["VersionId"] == two
    assert s3.head_object(Bucket=bucket, Key="k", VersionId=one)["ContentLength"] == 3
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", VersionId=one, ObjectAttributes=["ETag", "ObjectSize"])
    assert (attributes["VersionId"], attributes["ObjectSize"]) == (one, 3)
    part = s3.get_object(Bucket=bucket, Key="k", VersionId="null", Range="bytes=1-2")
    assert (part["Body"].read(), part["VersionId"]) == (b"ef", "null")
    assert listed(s3, bucket) == sorted([("k", "null", False, False), ("k", one, False, False), ("k", two, True, False)])
    # ListObjects shows the current versions only.
    assert [o["Size"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [3]


def test_a_delete_without_a_version_id_makes_a_delete_marker(s3, versioned, server):
    version = put(s3, versioned, "k", b"body")
    deleted = s3.delete_object(Bucket=versioned, Key="k")
    assert deleted["DeleteMarker"] is True
    marker = deleted["VersionId"]
    with s3_error("NoSuchKey", 404):
        s3.get_object(Bucket=versioned, Key="k")
    with s3_error("MethodNotAllowed", 405):
        s3.get_object(Bucket=versioned, Key="k", VersionId=marker)
    signed = server.client(signature_version="s3v4")
    named = {"Bucket": versioned, "Key": "k"}
    hidden = requests.get(signed.generate_presigned_url("get_object", named))
    assert (hidden.headers["x-amz-delete-marker"], hidden.headers["x-amz-version-id"]) == ("true", marker)
    refused = requests.get(signed.generate_presigned_url("get_object", named | {"VersionId": marker}))
    assert refused.headers["x-amz-delete-marker"] == "true"
    assert refused.headers["allow"] == "DELETE"
    assert "last-modified" in refused.headers
    assert get(s3, versioned, "k", version) == b"body"
    assert "Contents" not in s3.list_objects_v2(Bucket=versioned)
    with s3_error("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=versioned)
    # Deleting the marker brings the object back.
    gone = s3.delete_object(Bucket=versioned, Key="k", VersionId=marker)
    assert (gone["DeleteMarker"], gone["VersionId"]) == (True, marker)
    assert get(s3, versioned, "k") == b"body"
    gone = s3.delete_object(Bucket=versioned, Key="k", VersionId=version)
    assert "DeleteMarker" not in gone and gone["VersionId"] == version
    with s3_error("NoSuchKey", 404):
        s3.get_object(Bucket=versioned, Key="k")
    with s3_error("NoSuchVersion", 404):
        s3.get_object(Bucket=versioned, Key="k", VersionId=version)
    # AWS answers 204 to the deletion of a version that is gone.
    s3.delete_object(Bucket=versioned, Key="k", VersionId=version)
    s3.delete_bucket(Bucket=versioned)


def test_a_suspended_bucket_replaces_the_null_version(s3, versioned):
    kept = put(s3, versioned, "k", b"kept")
    enable(s3, versioned, "Suspended")
    assert put(s3, versioned, "k", b"one") == "null"
    assert put(s3, versioned, "k", b"two") == "null"
    assert listed(s3, versioned) == sorted([("k", kept, False, False), ("k", "null", True, False)])
    deleted = s3.delete_object(Bucket=versioned, Key="k")
    assert (deleted["DeleteMarker"], deleted["VersionId"]) == (True, "null")
    with s3_error("NoSuchKey", 404):
        s3.get_object(Bucket=versioned, Key="k")
    assert listed(s3, versioned) == sorted([("k", kept, False, False), ("k", "null", True, True)])
    assert get(s3, versioned, "k", kept) == b"kept"


def test_version_ids_that_do_not_exist_or_are_malformed(s3, versioned):
    version = put(s3, versioned, "k", b"body")
    put(s3, versioned, "other", b"body")
    with s3_error("InvalidArgument", 400):
        s3.get_object(Bucket=versioned, Key="k", VersionId="3HL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY")
    with s3_error("InvalidArgument", 400):
        s3.delete_object(Bucket=versioned, Key="k", VersionId="x")
    for key, missing in (("other", version), ("missing", version), ("k", "null")):
        with s3_error("NoSuchVersion", 404):
            s3.get_object(Bucket=versioned, Key=key, VersionId=missing)
        with s3_error("404", 404):
            s3.head_object(Bucket=versioned, Key=key, VersionId=missing)
        with s3_error("NoSuchVersion", 404):
            s3.get_object_tagging(Bucket=versioned, Key=key, VersionId=missing)
    assert len(listed(s3, versioned)) == 2


def test_many_objects_and_versions_are_deleted_at_once(s3, versioned):
    old = put(s3, versioned, "a", b"old")
    new = put(s3, versioned, "a", b"new")
    put(s3, versioned, "b", b"b")
    objects = [{"Key": "a", "VersionId": old}, {"Key": "b"}, {"Key": "c"}, {"Key": "a", "VersionId": "wrong"}]
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": objects})
    deleted = {(entry["Key"], entry.get("VersionId")): entry for entry in answer["Deleted"]}
    assert "DeleteMarker" not in deleted["a", old]
    markers = {key: deleted[key, None]["DeleteMarkerVersionId"] for key in ("b", "c")}
    assert deleted["b", None]["DeleteMarker"] is True
    assert [(error["Key"], error["Code"]) for error in answer["Errors"]] == [("a", "NoSuchVersion")]
    assert get(s3, versioned, "a", new) == b"new"
    markers = [{"Key": key, "VersionId": marker} for key, marker in markers.items()]
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": markers})
    assert all(entry["DeleteMarker"] and entry["DeleteMarkerVersionId"] == entry["VersionId"] for entry in answer["Deleted"])
    assert get(s3, versioned, "b") == b"b"


def test_a_condition_on_a_version_guards_its_deletion(s3, versioned):
    version = put(s3, versioned, "k", b"one")
    etag = s3.put_object(Bucket=versioned, Key="k", Body=b"two")["ETag"]
    with s3_error("PreconditionFailed", 412):
        s3.delete_object(Bucket=versioned, Key="k", VersionId=version, IfMatch=etag)
    assert get(s3, versioned, "k", version) == b"one"
    with s3_error("PreconditionFailed", 412):
        s3.put_object(Bucket=versioned, Key="k", Body=b"three", IfNoneMatch="*")
    s3.delete_object(Bucket=versioned, Key="k")
    # Behind a delete marker there is no object.
    s3.put_object(Bucket=versioned, Key="k", Body=b"three", IfNoneMatch="*")
    assert get(s3, versioned, "k") == b"three"


def test_an_old_version_is_copied_and_brought_back(s3, versioned):
    old = put(s3, versioned, "k", b"old")
    put(s3, versioned, "k", b"new")
    source = {"Bucket": versioned, "Key": "k", "VersionId": old}
    copied = s3.copy_object(Bucket=versioned, Key="k", CopySource=source)
    assert copied["CopySourceVersionId"] == old
    assert get(s3, versioned, "k") == b"old"
    assert s3.head_object(Bucket=versioned, Key="k")["VersionId"] == copied["VersionId"]
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    with s3_error("NoSuchKey", 404):
        s3.copy_object(Bucket=versioned, Key="c", CopySource={"Bucket": versioned, "Key": "k"})
    with s3_error("InvalidRequest", 400):
        s3.copy_object(Bucket=versioned, Key="c", CopySource=source | {"VersionId": marker})


def test_multipart_uploads_make_versions_and_copy_from_versions(s3, versioned):
    old = put(s3, versioned, "k", some_bytes(6 * MIB))
    put(s3, versioned, "k", b"new")
    upload = s3.create_multipart_upload(Bucket=versioned, Key="joined")["UploadId"]
    named = {"Bucket": versioned, "Key": "joined", "UploadId": upload}
    source = {"Bucket": versioned, "Key": "k", "VersionId": old}
    one = s3.upload_part_copy(**named, PartNumber=1, CopySource=source)
    assert one["CopySourceVersionId"] == old
    two = s3.upload_part(**named, PartNumber=2, Body=b"end")
    parts = [
        {"PartNumber": 1, "ETag": one["CopyPartResult"]["ETag"]},
        {"PartNumber": 2, "ETag": two["ETag"]},
    ]
    done = s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    assert get(s3, versioned, "joined", done["VersionId"]) == some_bytes(6 * MIB) + b"end"
    # A repeated completion gets the same version.
    assert s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})["VersionId"] == done["VersionId"]
    assert len(listed(s3, versioned, Prefix="joined")) == 1
    config = boto3.s3.transfer.TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    s3.copy(source, versioned, "copied", Config=config)
    assert get(s3, versioned, "copied") == some_bytes(6 * MIB)


def test_tags_belong_to_a_version(s3, versioned):
    def tags(value):
        return {"TagSet": [{"Key": "t", "Value": value}]}

    one = put(s3, versioned, "k", b"one")
    two = put(s3, versioned, "k", b"two")
    assert s3.put_object_tagging(Bucket=versioned, Key="k", VersionId=one, Tagging=tags("1"))["VersionId"] == one
    assert s3.put_object_tagging(Bucket=versioned, Key="k", Tagging=tags("2"))["VersionId"] == two
    got = s3.get_object_tagging(Bucket=versioned, Key="k", VersionId=one)
    assert (got["TagSet"], got["VersionId"]) == (tags("1")["TagSet"], one)
    assert s3.get_object_tagging(Bucket=versioned, Key="k")["TagSet"] == tags("2")["TagSet"]
    s3.delete_object_tagging(Bucket=versioned, Key="k", VersionId=one)
    assert s3.get_object_tagging(Bucket=versioned, Key="k", VersionId=one)["TagSet"] == []
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    with s3_error("MethodNotAllowed", 405):
        s3.put_object_tagging(Bucket=versioned, Key="k", VersionId=marker, Tagging=tags("x"))
    with s3_error("MethodNotAllowed", 405):
        s3.get_object_tagging(Bucket=versioned, Key="k", VersionId=marker)


def test_versions_are_listed_in_pages_with_markers_prefix_and_delimiter(s3, versioned):
    wanted = []
    for key in ("a", "dir/1", "dir/2", "z"):
        versions = [put(s3, versioned, key, str(n).encode()) for n in range(3)]
        wanted += [(key, version, version == versions[-1], False) for version in versions]
    marker = s3.delete_object(Bucket=versioned, Key="z")["VersionId"]
    wanted = [(k, v, latest and k != "z", m) for k, v, latest, m in wanted] + [("z", marker, True, True)]
    for size in (1, 2, 3, 5, 1000):
        assert listed(s3, versioned, PaginationConfig={"PageSize": size}) == sorted(wanted), size
    assert listed(s3, versioned, Prefix="dir/") == sorted(entry for entry in wanted if entry[0].startswith("dir/"))
    page = s3.list_object_versions(Bucket=versioned, Delimiter="/", MaxKeys=4)
    assert (page["IsTruncated"], page["NextKeyMarker"]) == (True, "dir/")
    assert [prefix["Prefix"] for prefix in page["CommonPrefixes"]] == ["dir/"]
    rest = s3.list_object_versions(Bucket=versioned, Delimiter="/", KeyMarker="dir/")
    assert {entry["Key"] for entry in rest["Versions"]} == {"z"} and "CommonPrefixes" not in rest
    # The newest version of a key comes first.
    first = s3.list_object_versions(Bucket=versioned, MaxKeys=1)
    assert (first["Versions"][0]["Key"], first["Versions"][0]["IsLatest"]) == ("a", True)
    assert first["NextVersionIdMarker"] == first["Versions"][0]["VersionId"]
    with s3_error("InvalidArgument", 400):
        s3.list_object_versions(Bucket=versioned, VersionIdMarker="null")
    with s3_error("InvalidArgument", 400):
        s3.list_object_versions(Bucket=versioned, KeyMarker="a", VersionIdMarker="x")
    assert "Versions" not in s3.list_object_versions(Bucket=versioned, MaxKeys=0)


def test_a_bucket_of_one_key_with_many_versions_lists_its_objects(s3, versioned):
    for n in range(25):
        put(s3, versioned, "many", str(n).encode())
    put(s3, versioned, "last", b"x")
    s3.delete_object(Bucket=versioned, Key="last")
    put(s3, versioned, "zz", b"x")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=versioned, PaginationConfig={"PageSize": 1})
    assert [entry["Key"] for page in pages for entry in page.get("Contents", [])] == ["many", "zz"]


def test_aws_cli_and_rclone_see_and_restore_old_versions(s3, server, versioned, tmp_path):
    aws = tools.aws_cli(server.endpoint, tmp_path)
    rclone = tools.rclone(server.endpoint, tmp_path)
    old = put(s3, versioned, "dir/file.txt", b"old")
    s3.delete_object(Bucket=versioned, Key="dir/file.txt")
    shown = json.loads(aws.run("s3api", "list-object-versions", "--bucket", versioned).stdout)
    assert (len(shown["Versions"]), len(shown["DeleteMarkers"])) == (1, 1)
    target = tmp_path / "got"
    aws.run("s3api", "get-object", "--bucket", versioned, "--key", "dir/file.txt", "--version-id", old, str(target))
    assert target.read_bytes() == b"old"
    assert rclone.run("lsf", "-R", "--files-only", f"cairn:{versioned}").stdout == b""
    versions = rclone.run("lsf", "-R", "--files-only", "--s3-versions", f"cairn:{versioned}").stdout.decode().split()
    assert len(versions) == 1 and versions[0].startswith("dir/file-v")
    back = tmp_path / "back"
    rclone.run("copy", "--s3-versions", f"cairn:{versioned}", back)
    assert [path.read_bytes() for path in back.rglob("*.txt")] == [b"old"]
    rclone.run("backend", "versioning", f"cairn:{versioned}", "Suspended")
    assert s3.get_bucket_versioning(Bucket=versioned)["Status"] == "Suspended"
    # `aws s3 rb --force` deletes current objects only. rclone's cleanup-hidden removes the rest.
    rclone.run("backend", "cleanup-hidden", f"cairn:{versioned}")
    assert listed(s3, versioned) == []
    s3.delete_bucket(Bucket=versioned)


def test_a_metanode_that_is_killed_keeps_all_versions(start):
    cluster = start("cluster", datanodes=1)
    s3 = cluster.client()
    s3.create_bucket(Bucket="bucket")
    enable(s3, "bucket")
    made = [put(s3, "bucket", "k", str(n).encode()) for n in range(5)]
    marker = s3.delete_object(Bucket="bucket", Key="k")["VersionId"]
    s3.delete_object(Bucket="bucket", Key="k", VersionId=made[1])
    cluster.metanode.kill()
    cluster.metanode.restart()
    wanted = [("k", version, False, False) for n, version in enumerate(made) if n != 1] + [("k", marker, True, True)]
    assert listed(s3, "bucket") == sorted(wanted)
    for n in (0, 2, 3, 4):
        assert get(s3, "bucket", "k", made[n]) == str(n).encode()
