"""Data directories that real binaries of earlier releases wrote are opened by this one, keep their objects, and gain what is new.

tests/fixtures/older_store.py made the archives.
"""

import pathlib
import sys

import pytest
import requests
from harness import s3_client, wait_until
from people import allow, policy

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"
sys.path.insert(0, str(FIXTURES))

import contents  # noqa: E402
from contents import BODIES, BUCKET, ETAGS, METADATA, PARTS, TAGS  # noqa: E402

# One for each schema that a release wrote: the first has one version of each object, and one key.
ARCHIVES = ["before-versions.tar.xz", "before-lifecycle.tar.xz"]


@pytest.fixture(params=ARCHIVES, ids=lambda name: name.split(".")[0])
def store(request, start):
    """A server of this release on a data directory of an earlier one."""
    return start("server", archive=FIXTURES / request.param, env={"CAIRN_GC_GRACE": "3s", "CAIRN_LEASE": "3s"})


def test_every_object_is_there_with_its_bytes_and_all_that_was_said_of_it(store):
    s3 = store.client()
    assert {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]} == {BUCKET, contents.EMPTY_BUCKET}
    listed = {found["Key"]: found for found in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert {key: found["Size"] for key, found in listed.items()} == {k: len(b) for k, b in BODIES.items()}
    assert {key: found["ETag"] for key, found in listed.items()} == ETAGS
    for key, body in BODIES.items():
        got = s3.get_object(Bucket=BUCKET, Key=key)
        assert got["Body"].read() == body, key
        assert (got["ETag"], "VersionId" in got) == (ETAGS[key], False)
    small = s3.head_object(Bucket=BUCKET, Key=contents.SMALL, ChecksumMode="ENABLED")
    assert small["Metadata"] == METADATA
    assert (small["ContentType"], small["CacheControl"]) == ("text/plain", "max-age=60")
    assert small["ChecksumSHA256"]
    tags = s3.get_object_tagging(Bucket=BUCKET, Key=contents.SMALL)["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == TAGS
    part = s3.get_object(Bucket=BUCKET, Key=contents.IN_PARTS, PartNumber=2)
    assert (part["Body"].read(), part["PartsCount"]) == (PARTS[1], 2)


def test_the_block_store_is_whole(store):
    store.admin("scrub", "start", "--wait")
    report = store.admin_json("fsck")
    assert report["clean"], report


def test_objects_from_before_become_null_versions_when_the_bucket_gets_versioning(store):
    s3 = store.client()
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    new = s3.put_object(Bucket=BUCKET, Key=contents.SMALL, Body=b"new words")["VersionId"]
    marker = s3.delete_object(Bucket=BUCKET, Key=contents.COPY)["VersionId"]
    found = s3.list_object_versions(Bucket=BUCKET)
    versions = {(version["Key"], version["VersionId"], version["IsLatest"]) for version in found["Versions"]}
    latest = {(key, "null", key not in (contents.SMALL, contents.COPY)) for key in BODIES}
    assert versions == latest | {(contents.SMALL, new, True)}
    assert [(found["Key"], found["VersionId"]) for found in found["DeleteMarkers"]] == [(contents.COPY, marker)]
    for key in (contents.SMALL, contents.COPY):
        old = s3.get_object(Bucket=BUCKET, Key=key, VersionId="null")
        assert old["Body"].read() == BODIES[key]
    s3.delete_object(Bucket=BUCKET, Key=contents.COPY, VersionId=marker)
    assert s3.get_object(Bucket=BUCKET, Key=contents.COPY)["Body"].read() == BODIES[contents.COPY]


def test_an_upload_from_before_is_completed(store):
    s3 = store.client()
    [upload] = s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    named = {"Bucket": BUCKET, "Key": contents.UNFINISHED, "UploadId": upload["UploadId"]}
    [first] = s3.list_parts(**named)["Parts"]
    assert first["Size"] == len(PARTS[0])
    second = contents.put_parts(s3, contents.UNFINISHED, upload["UploadId"], PARTS[1:], first=2)
    parts = [{"PartNumber": 1, "ETag": first["ETag"]}, *second]
    s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    got = s3.get_object(Bucket=BUCKET, Key=contents.UNFINISHED)
    assert (got["Body"].read(), got["ETag"]) == (b"".join(PARTS), contents.etag_of_parts(PARTS))


def test_buckets_from_before_are_private_and_can_be_opened_to_others(store):
    s3 = store.client()
    url = f"{store.endpoint}/{BUCKET}/{contents.REPLACED}"
    assert requests.get(url, timeout=60).status_code == 403
    s3.delete_public_access_block(Bucket=BUCKET)
    everyone = allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*", Principal="*")
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(everyone))
    assert requests.get(url, timeout=60).content == BODIES[contents.REPLACED]


def test_a_user_gets_a_key_for_a_bucket_from_before(store):
    key = store.admin_json("user", "create", "ada")["key"]
    store.admin("policy", "attach", "readonly", "--user", "ada", "--bucket", BUCKET)
    ada = s3_client(store.endpoint, key["access_key"], key["secret_key"])
    assert ada.get_object(Bucket=BUCKET, Key=contents.REPLACED)["Body"].read() == BODIES[contents.REPLACED]
    with pytest.raises(ada.exceptions.ClientError) as refused:
        ada.delete_object(Bucket=BUCKET, Key=contents.REPLACED)
    assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_everything_can_be_deleted_and_the_space_becomes_free(store):
    s3 = store.client()
    for key in BODIES:
        s3.delete_object(Bucket=BUCKET, Key=key)
    [upload] = s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    s3.abort_multipart_upload(Bucket=BUCKET, Key=contents.UNFINISHED, UploadId=upload["UploadId"])
    s3.delete_bucket(Bucket=BUCKET)
    wait_until(lambda: store.status()["blocks"] == 0, "every block to be given up")


def test_lifecycle_rules_find_objects_from_before(store):
    s3 = store.client()
    past = {"Date": "2020-01-01T00:00:00Z"}
    rules = [{"ID": "all", "Status": "Enabled", "Filter": {}, "Expiration": past}]
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": rules})
    wait_until(lambda: s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0, "every object to expire")
