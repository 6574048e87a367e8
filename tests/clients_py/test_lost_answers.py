"""Each kind of change takes effect once and its client gets that outcome, although the metanode is killed after it made the change
and before it answered."""

import concurrent.futures
import json
import pathlib
import re

import boto3
import pytest
from between import Between
from botocore.config import Config
from data import MIB, some_bytes
from harness import ACCESS_KEY, REGION, SECRET_KEY, s3_client
from people import allow, policy
from raw import Raw

BUCKET = "bucket"
VERSIONED = "versioned"
BODY = some_bytes(1000, 1)
SOURCES = pathlib.Path(__file__).resolve().parents[2] / "gateway/src"


class Store:
    """A cluster whose gateway reaches the metanode through a proxy, which can drop an answer."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.door = Between(cluster.metanode.url)
        args = ["gateway", "--listen", "127.0.0.1:0", "--metanode", self.door.url]
        self.gateway = cluster.run("gateway-behind", args, cluster.env | {"CAIRN_REGION": REGION})
        cluster.gateways.append(self.gateway)
        self.s3 = s3_client(self.gateway.url, retries={"total_max_attempts": 1})
        self.iam = boto3.client(
            "iam",
            endpoint_url=self.gateway.url,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(retries={"total_max_attempts": 1}),
        )
        self.lost = []

    def lose(self, call, action):
        """Runs `action`. The metanode executes the call `call`, and is killed before the gateway gets the answer."""
        self.lost.append(call)
        self.door.lose(f"/v1/{call}", self.cluster.metanode.kill)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(action)
            assert self.door.lost.wait(60), f"{call} was not called"
            self.cluster.metanode.restart()
            return answer.result(60)


@pytest.fixture
def store(start):
    store = Store(start("cluster", datanodes=1, replication=1))
    yield store
    store.door.close()


def repeated(file):
    """The calls that the gateway repeats, by its sources: the lines of the block `repeated`."""
    block = re.search(r"repeated \{\n(.*?)\n    \}", (SOURCES / file).read_text(), re.DOTALL).group(1)
    return set(re.findall(r"^ +([a-z_]+)\(", block, re.MULTILINE))


@pytest.mark.slow
def test_every_kind_of_change_of_buckets_and_objects(store):
    lose, s3 = store.lose, store.s3
    lose("metadata/create_bucket", lambda: s3.create_bucket(Bucket=BUCKET))
    s3.create_bucket(Bucket=VERSIONED)
    enabled = {"Status": "Enabled"}
    lose(
        "metadata/set_versioning",
        lambda: s3.put_bucket_versioning(Bucket=VERSIONED, VersioningConfiguration=enabled),
    )
    locked = {"ObjectLockEnabled": "Enabled"}
    lose(
        "metadata/set_bucket_lock",
        lambda: s3.put_object_lock_configuration(Bucket=VERSIONED, ObjectLockConfiguration=locked),
    )
    everyone = policy(allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*", Principal={"AWS": "000000000000"}))
    lose("metadata/put_bucket_configuration", lambda: s3.put_bucket_policy(Bucket=BUCKET, Policy=everyone))
    assert json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"]) == json.loads(everyone)
    lose("metadata/put_account_configuration", lambda: block_public_access(store))
    other = store.cluster.admin_json("account", "create", "other")["account"]["canonical_id"]
    changes_of_objects(lose, s3, other)
    changes_of_uploads(lose, s3)
    lose("metadata/delete_bucket", lambda: s3.delete_bucket(Bucket=BUCKET))
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [VERSIONED]
    assert {call.removeprefix("metadata/") for call in store.lost} == repeated("repeating.rs")


def block_public_access(store):
    path, headers = "/v20180820/configuration/publicAccessBlock", {"x-amz-account-id": "000000000000"}
    document = (
        b'<PublicAccessBlockConfiguration xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/">'
        b"<BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>"
    )
    answer = Raw(store.gateway.port).send("PUT", path, headers=headers, body=document)
    assert answer.status == 201, answer


def changes_of_objects(lose, s3, other):
    """`other` is the canonical id of another account."""

    def put():
        return s3.put_object(Bucket=BUCKET, Key="a", Body=BODY, IfNoneMatch="*")

    etag = lose("metadata/commit_object", put)["ETag"]
    version = s3.put_object(Bucket=VERSIONED, Key="a", Body=BODY)["VersionId"]
    source = {"Bucket": BUCKET, "Key": "a"}
    copied = lose(
        "metadata/copy_object",
        lambda: s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=source, IfNoneMatch="*"),
    )
    assert copied["CopyObjectResult"]["ETag"] == etag
    # When the gateway repeats the rename, its source is gone and its destination is there.
    lose(
        "metadata/rename_object",
        lambda: s3.rename_object(Bucket=BUCKET, Key="renamed", RenameSource="copy", DestinationIfNoneMatch="*"),
    )
    s3.rename_object(Bucket=BUCKET, Key="copy", RenameSource="renamed")
    tags = {"TagSet": [{"Key": "k", "Value": "v"}]}
    lose("metadata/update_tags", lambda: s3.put_object_tagging(Bucket=BUCKET, Key="a", Tagging=tags))
    assert s3.get_object_tagging(Bucket=BUCKET, Key="a")["TagSet"] == tags["TagSet"]
    lose(
        "metadata/put_object_lock",
        lambda: s3.put_object_legal_hold(
            Bucket=VERSIONED, Key="a", VersionId=version, LegalHold={"Status": "ON"}
        ),
    )
    held = s3.get_object_legal_hold(Bucket=VERSIONED, Key="a", VersionId=version)
    assert held["LegalHold"]["Status"] == "ON"
    owner = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(Bucket=BUCKET, OwnershipControls=owner)
    lose(
        "metadata/update_access",
        lambda: s3.put_object_acl(Bucket=BUCKET, Key="a", GrantRead=f"id={other}"),
    )
    [grant] = s3.get_object_acl(Bucket=BUCKET, Key="a")["Grants"]
    assert (grant["Grantee"]["ID"], grant["Permission"]) == (other, "READ")
    # The gateway repeats the delete after the object is gone. It must still succeed, although If-Match would now fail.
    lose("metadata/delete_objects", lambda: s3.delete_object(Bucket=BUCKET, Key="a", IfMatch=etag))
    s3.delete_object(Bucket=BUCKET, Key="copy")
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)


def changes_of_uploads(lose, s3):
    upload = {"Bucket": BUCKET, "Key": "u"}
    upload["UploadId"] = lose(
        "metadata/create_upload", lambda: s3.create_multipart_upload(Bucket=BUCKET, Key="u")
    )["UploadId"]
    first = some_bytes(5 * MIB, 2)
    parts = [
        {
            "PartNumber": 1,
            "ETag": lose("metadata/put_part", lambda: s3.upload_part(**upload, PartNumber=1, Body=first))["ETag"],
        }
    ]
    source = {"Bucket": VERSIONED, "Key": "a"}
    copied = lose(
        "metadata/copy_part", lambda: s3.upload_part_copy(**upload, PartNumber=2, CopySource=source)
    )
    parts.append({"PartNumber": 2, "ETag": copied["CopyPartResult"]["ETag"]})
    lose(
        "metadata/complete_upload",
        lambda: s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"),
    )
    assert s3.get_object(Bucket=BUCKET, Key="u")["Body"].read() == first + BODY
    s3.delete_object(Bucket=BUCKET, Key="u")
    upload["UploadId"] = s3.create_multipart_upload(Bucket=BUCKET, Key="u")["UploadId"]
    lose("metadata/abort_upload", lambda: s3.abort_multipart_upload(**upload))
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)


def test_changes_of_users_through_the_iam_api(store):
    """A secret is shown once, in the answer that makes the key: a key whose answer was lost would be of no use."""
    lose, iam = store.lose, store.iam
    lose("iam/create_user", lambda: iam.create_user(UserName="ada"))
    key = lose("iam/create_access_key", lambda: iam.create_access_key(UserName="ada"))["AccessKey"]
    [only] = iam.list_access_keys(UserName="ada")["AccessKeyMetadata"]
    assert only["AccessKeyId"] == key["AccessKeyId"]
    everything = policy(allow("s3:*", "*"))
    lose(
        "iam/put_inline_policy",
        lambda: iam.put_user_policy(UserName="ada", PolicyName="all", PolicyDocument=everything),
    )
    ada = s3_client(store.gateway.url, key["AccessKeyId"], key["SecretAccessKey"])
    ada.create_bucket(Bucket=BUCKET)
    lose("iam/delete_inline_policy", lambda: iam.delete_user_policy(UserName="ada", PolicyName="all"))
    with pytest.raises(ada.exceptions.ClientError) as refused:
        ada.list_objects_v2(Bucket=BUCKET)
    assert refused.value.response["Error"]["Code"] == "AccessDenied"
    lose(
        "iam/delete_access_key",
        lambda: iam.delete_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"]),
    )
    lose("iam/delete_user", lambda: iam.delete_user(UserName="ada"))
    assert iam.list_users()["Users"] == []
