"""Every operation that the gateway has, times every kind of caller: who may not do it gets 403, and nothing changed on the server.

The operations come from the binary's own tables (`cairn s3-operations`), so that a new operation without a row here fails."""

import base64
import dataclasses
import hashlib
import json
import subprocess

import boto3
import harness
import pytest
import requests
from harness import BINARY
from people import People, allow, numbers
from raw import UNSIGNED, Raw


@dataclasses.dataclass
class Row:
    """What a request for an operation has besides its selectors, and the status of its answer for a caller who may do it.

    `foreign` is the status for a user of another account whose own policies allow everything."""

    status: int
    query: str = ""
    headers: dict = dataclasses.field(default_factory=dict)
    body: str = ""
    foreign: int = 403
    key: str = "k"


LIFECYCLE = (
    "<LifecycleConfiguration><Rule><ID>r</ID><Filter/><Status>Enabled</Status>"
    "<Expiration><Days>1000</Days></Expiration></Rule></LifecycleConfiguration>"
)
TAGGING = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
DELETE = "<Delete><Object><Key>k</Key></Object></Delete>"
BLOCKS = "<PublicAccessBlockConfiguration><BlockPublicAcls>false</BlockPublicAcls></PublicAccessBlockConfiguration>"
OWNERSHIP = "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>"
PART = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"
RETENTION = "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>"
PAYMENT = "<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>"
POLICY = '{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:GetBucketCORS","Resource":"arn:aws:s3:::{bucket}"}}'
OWNER_ACL = {"x-amz-acl": "bucket-owner-full-control"}

ROWS = {
    "AbortMultipartUpload": Row(204),
    "CompleteMultipartUpload": Row(400, body=PART),
    "CopyObject": Row(400),
    "CreateBucket": Row(200, foreign=409),
    "CreateMultipartUpload": Row(200),
    "DeleteAccountPublicAccessBlock": Row(204),
    "DeleteBucket": Row(409),
    "DeleteBucketAnalyticsConfiguration": Row(404, "id=a"),
    "DeleteBucketCors": Row(204),
    "DeleteBucketEncryption": Row(204),
    "DeleteBucketIntelligentTieringConfiguration": Row(404, "id=a"),
    "DeleteBucketInventoryConfiguration": Row(404, "id=a"),
    "DeleteBucketLifecycle": Row(204),
    "DeleteBucketMetricsConfiguration": Row(404, "id=a"),
    "DeleteBucketOwnershipControls": Row(204),
    "DeleteBucketPolicy": Row(204),
    "DeleteBucketReplication": Row(204),
    "DeleteBucketTagging": Row(204),
    "DeleteBucketWebsite": Row(204),
    "DeleteObject": Row(204),
    "DeleteObjectTagging": Row(204),
    "DeleteObjects": Row(200, body=DELETE),
    "DeletePublicAccessBlock": Row(204),
    "GetAccountPublicAccessBlock": Row(404),
    "GetBucketAbac": Row(200),
    "GetBucketAccelerateConfiguration": Row(200),
    "GetBucketAcl": Row(200),
    "GetBucketAnalyticsConfiguration": Row(404, "id=a"),
    "GetBucketCors": Row(404),
    "GetBucketEncryption": Row(404),
    "GetBucketIntelligentTieringConfiguration": Row(404, "id=a"),
    "GetBucketInventoryConfiguration": Row(404, "id=a"),
    "GetBucketLifecycleConfiguration": Row(404),
    "GetBucketLocation": Row(200),
    "GetBucketLogging": Row(200),
    "GetBucketMetricsConfiguration": Row(404, "id=a"),
    "GetBucketNotificationConfiguration": Row(200),
    "GetBucketOwnershipControls": Row(200),
    "GetBucketPolicy": Row(404),
    "GetBucketPolicyStatus": Row(404),
    "GetBucketReplication": Row(404),
    "GetBucketRequestPayment": Row(200),
    "GetBucketTagging": Row(404),
    "GetBucketVersioning": Row(200),
    "GetBucketWebsite": Row(404),
    "GetObject": Row(200),
    "GetObjectAcl": Row(200),
    "GetObjectAttributes": Row(200, headers={"x-amz-object-attributes": "ETag"}),
    "GetObjectLegalHold": Row(400),
    "GetObjectLockConfiguration": Row(404),
    "GetObjectRetention": Row(400),
    "GetObjectTagging": Row(200),
    "GetPublicAccessBlock": Row(200),
    "HeadBucket": Row(200),
    "HeadObject": Row(200),
    "ListBucketAnalyticsConfigurations": Row(200),
    "ListBucketIntelligentTieringConfigurations": Row(200),
    "ListBucketInventoryConfigurations": Row(200),
    "ListBucketMetricsConfigurations": Row(200),
    "ListBuckets": Row(200, foreign=200),
    "ListMultipartUploads": Row(200),
    "ListObjectVersions": Row(200),
    "ListObjects": Row(200),
    "ListObjectsV2": Row(200),
    "ListParts": Row(200),
    "PutAccountPublicAccessBlock": Row(201, body=BLOCKS),
    "PutBucketAcl": Row(200, headers=OWNER_ACL),
    "PutBucketLifecycleConfiguration": Row(200, body=LIFECYCLE),
    "PutBucketLogging": Row(200, body="<BucketLoggingStatus/>"),
    "PutBucketNotificationConfiguration": Row(200, body="<NotificationConfiguration/>"),
    "PutBucketOwnershipControls": Row(200, body=OWNERSHIP),
    "PutBucketPolicy": Row(204, body=POLICY),
    "PutBucketRequestPayment": Row(200, body=PAYMENT),
    "PutBucketTagging": Row(204, body=TAGGING),
    "PutBucketVersioning": Row(200, body="<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"),
    "PutObject": Row(200, body="new"),
    "PutObjectAcl": Row(200, headers=OWNER_ACL),
    # The bucket has no Object Lock.
    "PutObjectLegalHold": Row(400, body="<LegalHold><Status>ON</Status></LegalHold>"),
    "PutObjectLockConfiguration": Row(
        409, body="<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"
    ),
    "PutObjectRetention": Row(400, body=RETENTION),
    "PutObjectTagging": Row(200, body=TAGGING),
    "PutPublicAccessBlock": Row(200, body=BLOCKS),
    "RenameObject": Row(200, headers={"x-amz-rename-source": "/k"}, key="new"),
    "UploadPart": Row(200, body="part"),
    "UploadPartCopy": Row(200),
}


def table():
    text = subprocess.run([BINARY, "s3-operations"], capture_output=True, check=True, text=True).stdout
    return {operation["name"]: operation for operation in json.loads(text)["operations"] if operation["built"]}


OPERATIONS = table()


def test_every_operation_has_a_row_and_every_row_an_operation():
    assert set(ROWS) == set(OPERATIONS)


@dataclasses.dataclass
class Server:
    cairn: harness.Cairn
    root: object
    # Kinds of callers with their keys; None for requests without a signature.
    refused: dict
    permitted: dict

    def bucket(self):
        """A new bucket with an object and an upload in progress; returns the upload's id with it."""
        name = f"matrix-{next(numbers)}"
        self.root.create_bucket(Bucket=name)
        self.root.put_object(Bucket=name, Key="k", Body=b"body", Tagging="team=blue")
        return name, self.root.create_multipart_upload(Bucket=name, Key="k")["UploadId"]

    def send(self, operation, bucket, upload, key):
        """Sends the request of an operation; returns status and body."""
        row = ROWS[operation["name"]]
        path = {
            "SERVICE": "/",
            "BUCKET": f"/{bucket}",
            "OBJECT": f"/{bucket}/{row.key}",
            "ACCOUNT": "/v20180820/configuration/publicAccessBlock",
        }[operation["resource"]]
        query, headers = [row.query] if row.query else [], dict(row.headers)
        if operation["resource"] == "ACCOUNT":
            headers["x-amz-account-id"] = "000000000000"
        for when in operation["when"]:
            values = {"uploadId": upload, "partNumber": "1", "id": "a"}
            if when["in"] == "header":
                headers[when["name"]] = f"/{bucket}/k"
            elif when["name"] != "id":
                query.append(f"{when['name']}={when.get('value') or values.get(when['name'], '')}")
        body = row.body.replace("{bucket}", bucket).encode()
        if body:
            headers["content-md5"] = base64.b64encode(hashlib.md5(body).digest()).decode()
        query = "&".join(query)
        port = self.cairn.gateways[0].port
        if key is None:
            url = f"http://127.0.0.1:{port}{path}?{query}"
            answer = requests.request(operation["method"], url, headers=headers, data=body, timeout=60)
            return answer.status_code, answer.content
        access_key, secret_key, *token = key
        if token:
            headers["x-amz-security-token"] = token[0]
        answer = Raw(port, access_key, secret_key).send(operation["method"], path, query, headers, body, payload=UNSIGNED)
        return answer.status, answer.body

    def state(self, bucket, upload):
        """Everything that a refused request could have changed."""
        root = self.root

        def of(call, *names, **more):
            try:
                answer = call(Bucket=bucket, **more)
            except root.exceptions.ClientError as error:
                return error.response["Error"]["Code"]
            return {name: answer.get(name) for name in names}

        return [
            sorted(b["Name"] for b in root.list_buckets()["Buckets"]),
            of(root.list_object_versions, "Versions", "DeleteMarkers"),
            of(root.list_multipart_uploads, "Uploads"),
            of(root.list_parts, "Parts", Key="k", UploadId=upload),
            of(root.get_object_tagging, "TagSet", Key="k"),
            of(root.get_object_acl, "Owner", "Grants", Key="k"),
            of(root.get_bucket_acl, "Owner", "Grants"),
            of(root.get_bucket_versioning, "Status"),
            of(root.get_bucket_tagging, "TagSet"),
            of(root.get_bucket_lifecycle_configuration, "Rules"),
            of(root.get_object_lock_configuration, "ObjectLockConfiguration"),
            of(root.get_bucket_policy, "Policy"),
            of(root.get_bucket_ownership_controls, "OwnershipControls"),
            of(root.get_public_access_block, "PublicAccessBlockConfiguration"),
            self.send(OPERATIONS["GetAccountPublicAccessBlock"], bucket, upload, harness_root())[0],
        ]


def harness_root():
    return harness.ACCESS_KEY, harness.SECRET_KEY


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    cairn = harness.start_cluster(tmp_path_factory.mktemp("matrix"), datanodes=1)
    people = People(cairn, tmp_path_factory.mktemp("policies"))
    everything = allow("*", "*")
    account, _, foreign_root = people.account()

    def session(key):
        """A session that a user opens for itself, as a key."""
        access_key, secret_key = key
        sts = boto3.client(
            "sts",
            endpoint_url=cairn.gateways[0].url,
            region_name=harness.REGION,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
        )
        made = sts.get_session_token()["Credentials"]
        return made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"]

    refused = {
        "anonymous": None,
        "foreign user": people.user(everything, account=account)[0],
        "foreign root": foreign_root,
        "user without right": people.user()[0],
        "session of a user without right": session(people.user()[0]),
        "user with explicit deny": people.user(everything, {"Effect": "Deny", "Action": "s3:*", "Resource": "*"})[0],
    }
    permitted = {
        "user with right": people.user(everything)[0],
        "session of a user with right": session(people.user(everything)[0]),
        "root": harness_root(),
    }
    yield Server(cairn, cairn.client(), refused, permitted)
    cairn.stop()


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_who_may_not_do_it_changes_nothing(server, name):
    operation, row = OPERATIONS[name], ROWS[name]
    bucket, upload = server.bucket()
    before = server.state(bucket, upload)
    for kind, key in server.refused.items():
        status, body = server.send(operation, bucket, upload, key)
        if name == "DeleteObjects":
            # Each object is refused on its own.
            assert (status, b"<Code>AccessDenied<" in body, b"<Deleted>" in body) == (200, True, False), kind
            continue
        wanted = row.foreign if kind.startswith("foreign") else 403
        assert status == wanted, (kind, body)
        if wanted == 403 and operation["method"] != "HEAD":
            assert b"<Code>AccessDenied</Code>" in body, (kind, body)
    assert server.state(bucket, upload) == before


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_who_may_do_it_is_answered(server, name):
    for kind, key in server.permitted.items():
        bucket, upload = server.bucket()
        status, body = server.send(OPERATIONS[name], bucket, upload, key)
        assert status == ROWS[name].status, (kind, body)
        assert b"AccessDenied" not in body, kind
