"""Users with keys and policies of their own: what they may do, and that everything else is refused and changes nothing.

Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3"; IAM User Guide, "Policy evaluation
logic"."""

import itertools
import json

import pytest
import requests
from data import some_bytes
from errors import outcome, s3_error
from harness import run_cairn, s3_client, wait_until

_numbers = itertools.count()


class Users:
    """Makes users on one server by its command line."""

    def __init__(self, cairn):
        self.cairn = cairn

    def admin(self, *args):
        done = run_cairn(["admin", *args, "--metanode", self.cairn.metanode.url], self.cairn.secret)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create(self, name):
        made = self.cairn.admin_json("user", "create", name)
        key = made.get("key", made)
        return key["access_key"], key["secret_key"]

    def client(self, key, **config):
        return s3_client(self.cairn.gateways[0].url, *key, **config)

    def user(self, *statements, tmp_path):
        """A client of a new user whose only policy has these statements. Returns it with the user's name."""
        name = f"user-{next(_numbers)}"
        key = self.create(name)
        if statements:
            file = tmp_path / f"{name}.json"
            file.write_text(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
            self.admin("policy", "create", name, str(file))
            self.admin("policy", "attach", name, "--user", name)
        return self.client(key), name


def allow(actions, *resources, **more):
    return {"Effect": "Allow", "Action": actions, "Resource": list(resources), **more}


@pytest.fixture(scope="module")
def cairn(tmp_path_factory):
    import harness

    store = harness.start_cluster(tmp_path_factory.mktemp("users"), datanodes=1)
    yield store
    store.stop()


@pytest.fixture
def users(cairn):
    return Users(cairn)


@pytest.fixture
def root(cairn):
    return cairn.client()


@pytest.fixture
def bucket(root):
    name = f"users-{next(_numbers)}"
    root.create_bucket(Bucket=name)
    root.put_object(Bucket=name, Key="k", Body=b"body", Tagging="team=blue")
    return name


def state(root, bucket):
    """What a refused request must not change."""
    listed = root.list_object_versions(Bucket=bucket)
    uploads = root.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    tags = root.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    versions = [(v["Key"], v["VersionId"], v["ETag"]) for v in listed.get("Versions", [])]
    return versions, listed.get("DeleteMarkers"), len(uploads), tags


# Each operation, with what a request for it needs.
OPERATIONS = {
    "put": lambda s3, b: s3.put_object(Bucket=b, Key="new", Body=b"x"),
    "get": lambda s3, b: s3.get_object(Bucket=b, Key="k"),
    "head": lambda s3, b: s3.head_object(Bucket=b, Key="k"),
    "get version": lambda s3, b: s3.get_object(Bucket=b, Key="k", VersionId="null"),
    "attributes": lambda s3, b: s3.get_object_attributes(Bucket=b, Key="k", ObjectAttributes=["ETag"]),
    "acl": lambda s3, b: s3.get_object_acl(Bucket=b, Key="k"),
    "delete": lambda s3, b: s3.delete_object(Bucket=b, Key="k"),
    "delete version": lambda s3, b: s3.delete_object(Bucket=b, Key="k", VersionId="null"),
    "copy": lambda s3, b: s3.copy_object(Bucket=b, Key="copy", CopySource=f"{b}/k"),
    "get tags": lambda s3, b: s3.get_object_tagging(Bucket=b, Key="k"),
    "put tags": lambda s3, b: s3.put_object_tagging(Bucket=b, Key="k", Tagging={"TagSet": []}),
    "delete tags": lambda s3, b: s3.delete_object_tagging(Bucket=b, Key="k"),
    "create upload": lambda s3, b: s3.create_multipart_upload(Bucket=b, Key="u"),
    "list uploads": lambda s3, b: s3.list_multipart_uploads(Bucket=b),
    "list": lambda s3, b: s3.list_objects(Bucket=b),
    "list v2": lambda s3, b: s3.list_objects_v2(Bucket=b),
    "list versions": lambda s3, b: s3.list_object_versions(Bucket=b),
    "head bucket": lambda s3, b: s3.head_bucket(Bucket=b),
    "location": lambda s3, b: s3.get_bucket_location(Bucket=b),
    "get versioning": lambda s3, b: s3.get_bucket_versioning(Bucket=b),
    "put versioning": lambda s3, b: s3.put_bucket_versioning(Bucket=b, VersioningConfiguration={"Status": "Enabled"}),
    "bucket acl": lambda s3, b: s3.get_bucket_acl(Bucket=b),
    "bucket policy": lambda s3, b: s3.get_bucket_policy(Bucket=b),
    "create bucket": lambda s3, b: s3.create_bucket(Bucket=f"{b}-more"),
    "delete bucket": lambda s3, b: s3.delete_bucket(Bucket=b),
    "list buckets": lambda s3, b: s3.list_buckets(),
}
DENIED = ("AccessDenied", "403")


def test_a_user_without_a_policy_may_do_nothing(users, root, bucket, tmp_path):
    nobody, _ = users.user(tmp_path=tmp_path)
    before = state(root, bucket)
    for name, call in OPERATIONS.items():
        assert outcome(call, nobody, bucket) in DENIED, name
    assert state(root, bucket) == before
    assert f"{bucket}-more" not in [b["Name"] for b in root.list_buckets()["Buckets"]]


def test_an_explicit_deny_wins_over_every_allow(users, root, bucket, tmp_path):
    denied, _ = users.user(
        allow("*", "*"), {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}, tmp_path=tmp_path
    )
    before = state(root, bucket)
    for name, call in OPERATIONS.items():
        assert outcome(call, denied, bucket) in DENIED, name
    assert state(root, bucket) == before


def test_a_user_with_all_permissions_may_do_what_root_may(users, bucket, tmp_path):
    able, _ = users.user(allow("s3:*", "*"), tmp_path=tmp_path)
    for name, call in OPERATIONS.items():
        assert outcome(call, able, bucket) not in DENIED, name


def test_a_read_only_key_for_one_bucket_in_two_commands(users, root, bucket, tmp_path):
    other = f"{bucket}-other"
    root.create_bucket(Bucket=other)
    key = users.create("reader")
    users.admin("policy", "attach", "readonly", "--user", "reader", "--bucket", bucket)
    reader = users.client(key)
    assert reader.get_object(Bucket=bucket, Key="k")["Body"].read() == b"body"
    assert [o["Key"] for o in reader.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]
    for call in (
        lambda: reader.put_object(Bucket=bucket, Key="k", Body=b"x"),
        lambda: reader.delete_object(Bucket=bucket, Key="k"),
        lambda: reader.list_objects_v2(Bucket=other),
        lambda: reader.get_object(Bucket=other, Key="k"),
    ):
        with s3_error("AccessDenied", 403):
            call()
    assert root.get_object(Bucket=bucket, Key="k")["Body"].read() == b"body"


def test_a_prefix_of_a_bucket(users, root, bucket, tmp_path):
    arn = f"arn:aws:s3:::{bucket}"
    home, _ = users.user(
        allow(["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], arn + "/home/${aws:username}/*"),
        allow("s3:ListBucket", arn, Condition={"StringLike": {"s3:prefix": "home/${aws:username}/*"}}),
        tmp_path=tmp_path,
    )
    name = f"user-{next(_numbers) - 1}"
    home.put_object(Bucket=bucket, Key=f"home/{name}/file", Body=b"mine")
    assert home.list_objects_v2(Bucket=bucket, Prefix=f"home/{name}/")["KeyCount"] == 1
    for call in (
        lambda: home.put_object(Bucket=bucket, Key="home/other/file", Body=b"x"),
        lambda: home.get_object(Bucket=bucket, Key="k"),
        lambda: home.list_objects_v2(Bucket=bucket),
        lambda: home.list_objects_v2(Bucket=bucket, Prefix="home/other/"),
    ):
        with s3_error("AccessDenied", 403):
            call()
    # Of many objects, those are deleted that may be.
    keys = [{"Key": f"home/{name}/file"}, {"Key": "k"}]
    answer = home.delete_objects(Bucket=bucket, Delete={"Objects": keys})
    assert [d["Key"] for d in answer["Deleted"]] == [f"home/{name}/file"]
    assert [(e["Key"], e["Code"]) for e in answer["Errors"]] == [("k", "AccessDenied")]
    assert [o["Key"] for o in root.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


def test_a_copy_needs_its_source_its_destination_and_the_tags(users, root, bucket, tmp_path):
    source = f"arn:aws:s3:::{bucket}/k"
    target = f"arn:aws:s3:::{bucket}/copy"

    def copied(*statements):
        user, _ = users.user(*statements, tmp_path=tmp_path)
        return outcome(user.copy_object, Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")

    read, write = allow("s3:GetObject", source), allow("s3:PutObject", target)
    tags = allow(["s3:GetObjectTagging", "s3:PutObjectTagging"], source, target)
    assert copied(read, tags) == "AccessDenied"
    assert copied(write, tags) == "AccessDenied"
    assert copied(read, write) == "AccessDenied", "the tags are copied too"
    assert copied(read, write, tags) == "ok"
    assert root.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == [{"Key": "team", "Value": "blue"}]


def test_versions_need_the_actions_on_versions(users, root, bucket, tmp_path):
    root.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    arn = f"arn:aws:s3:::{bucket}/*"
    plain, _ = users.user(allow(["s3:GetObject", "s3:DeleteObject"], arn), tmp_path=tmp_path)
    with s3_error("AccessDenied", 403):
        plain.get_object(Bucket=bucket, Key="k", VersionId="null")
    # Its key hides objects, and cannot destroy a version.
    plain.delete_object(Bucket=bucket, Key="k")
    with s3_error("AccessDenied", 403):
        plain.delete_object(Bucket=bucket, Key="k", VersionId="null")
    answer = plain.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", "VersionId": "null"}]})
    assert answer["Errors"][0]["Code"] == "AccessDenied"
    able, _ = users.user(allow(["s3:GetObjectVersion", "s3:DeleteObjectVersion"], arn), tmp_path=tmp_path)
    assert able.get_object(Bucket=bucket, Key="k", VersionId="null")["Body"].read() == b"body"
    able.delete_object(Bucket=bucket, Key="k", VersionId="null")


def test_conditions_on_tags_address_transport_and_storage_class(users, bucket, tmp_path):
    arn = f"arn:aws:s3:::{bucket}/*"

    def got(condition, effect="Allow", action="s3:GetObject", call=OPERATIONS["get"]):
        statements = [{"Effect": effect, "Action": action, "Resource": arn, "Condition": condition}]
        if effect == "Deny":
            statements.append(allow("s3:*", "*"))
        return outcome(call, users.user(*statements, tmp_path=tmp_path)[0], bucket)

    assert got({"StringEquals": {"s3:ExistingObjectTag/team": "blue"}}) == "ok"
    assert got({"StringEquals": {"s3:ExistingObjectTag/team": "red"}}) == "AccessDenied"
    assert got({"StringEquals": {"s3:ExistingObjectTag/team": "blue"}}, effect="Deny") == "AccessDenied"
    assert got({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}) == "ok"
    assert got({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}) == "AccessDenied"
    assert got({"Bool": {"aws:SecureTransport": "false"}}, effect="Deny") == "AccessDenied"
    assert got({"StringLike": {"aws:UserAgent": "Boto3/*"}}) == "ok"
    assert got({"DateLessThan": {"aws:CurrentTime": "2001-01-01T00:00:00Z"}}) == "AccessDenied"
    # A request without the key: a condition on it never allows.
    assert got({"StringEquals": {"aws:Referer": "http://example.com/"}}) == "AccessDenied"

    def put(s3, b, **more):
        return s3.put_object(Bucket=b, Key="new", Body=b"x", **more)

    tagged = {"StringEquals": {"s3:RequestObjectTag/team": "red"}}
    actions = ["s3:PutObject", "s3:PutObjectTagging"]
    assert got(tagged, action=actions, call=put) == "AccessDenied"
    assert got(tagged, action=actions, call=lambda s3, b: put(s3, b, Tagging="team=red")) == "ok"
    tags = {"TagSet": [{"Key": "team", "Value": "red"}]}
    assert (
        got(
            tagged,
            effect="Deny",
            action="s3:PutObjectTagging",
            call=lambda s3, b: s3.put_object_tagging(Bucket=b, Key="k", Tagging=tags),
        )
        == "AccessDenied"
    )
    cold = {"StringNotEquals": {"s3:x-amz-storage-class": "STANDARD_IA"}}
    assert got(cold, "Deny", "s3:PutObject", put) == "AccessDenied"
    assert got(cold, "Deny", "s3:PutObject", lambda s3, b: put(s3, b, StorageClass="STANDARD_IA")) == "ok"


def test_a_policy_may_want_conditional_writes_of_objects_and_not_of_parts(users, bucket, tmp_path):
    """The policy of AWS's user guide, "Enforce conditional writes on Amazon S3 buckets"."""
    arn = f"arn:aws:s3:::{bucket}/*"
    user, _ = users.user(
        allow("s3:PutObject", arn, Condition={"Null": {"s3:if-none-match": "false"}}),
        allow("s3:PutObject", arn, Condition={"Bool": {"s3:ObjectCreationOperation": "false"}}),
        allow("s3:GetObject", arn),
        tmp_path=tmp_path,
    )
    assert outcome(user.put_object, Bucket=bucket, Key="once") == "AccessDenied"
    assert outcome(user.put_object, Bucket=bucket, Key="once", IfNoneMatch="*") == "ok"
    copy = {"Bucket": bucket, "Key": "copied", "CopySource": f"{bucket}/k", "TaggingDirective": "REPLACE"}
    assert outcome(user.copy_object, **copy) == "AccessDenied"
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = user.create_multipart_upload(**upload)["UploadId"]
    etag = user.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    assert outcome(user.complete_multipart_upload, **upload, MultipartUpload=parts) == "AccessDenied"
    assert outcome(user.complete_multipart_upload, **upload, MultipartUpload=parts, IfNoneMatch="*") == "ok"


def test_conditions_on_what_a_new_bucket_is_to_be(users, root, tmp_path):
    def create(user, name, **configuration):
        more = {"CreateBucketConfiguration": configuration} if configuration else {}
        return outcome(user.create_bucket, Bucket=f"{name}-{next(_numbers)}", **more)

    here = {"StringEquals": {"s3:LocationConstraint": "us-east-1", "aws:RequestedRegion": "us-east-1"}}
    user, _ = users.user(allow("s3:CreateBucket", "*", Condition=here), tmp_path=tmp_path)
    assert create(user, "nowhere") == "AccessDenied"
    # What the document says is passed to the decision as a header, which is refused if a client sends it.
    forge = lambda request, **_: request.headers.add_header("x-cairn-location-constraint", "us-east-1")  # noqa: E731
    user.meta.events.register("before-sign.s3.CreateBucket", forge)
    assert create(user, "forged") == "NotImplemented"
    user.meta.events.unregister("before-sign.s3.CreateBucket", forge)
    assert create(user, "elsewhere", LocationConstraint="eu-west-1") == "AccessDenied"
    assert create(user, "here", LocationConstraint="us-east-1") == "ok"

    tagged = {
        "StringEquals": {"aws:RequestTag/team": "blue"},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["team", "cost"]},
    }
    actions = ["s3:CreateBucket", "s3:TagResource", "s3:PutBucketTagging"]
    user, _ = users.user(allow(actions, "*", Condition=tagged), allow("s3:ListBucket", "*"), tmp_path=tmp_path)
    tags = [{"Key": "team", "Value": "blue"}, {"Key": "cost", "Value": "7"}]
    assert create(user, "plain") == "AccessDenied"
    assert create(user, "red", Tags=[{"Key": "team", "Value": "red"}]) == "AccessDenied"
    assert create(user, "other", Tags=[*tags, {"Key": "other", "Value": ""}]) == "AccessDenied"
    assert create(user, "blue", Tags=tags) == "ok"
    bucket = f"tagged-{next(_numbers)}"
    root.create_bucket(Bucket=bucket)
    for wanted, expected in [(tags, "ok"), ([{"Key": "team", "Value": "red"}], "AccessDenied")]:
        assert outcome(user.put_bucket_tagging, Bucket=bucket, Tagging={"TagSet": wanted}) == expected
    assert root.get_bucket_tagging(Bucket=bucket)["TagSet"] == sorted(tags, key=lambda tag: tag["Key"])


def test_a_policy_with_a_condition_key_that_no_request_has_allows_nothing(users, bucket, tmp_path):
    deny = {"Effect": "Deny", "Action": "s3:*", "Resource": "*", "Condition": {"Null": {"aws:SourceVpc": "true"}}}
    user, _ = users.user(allow("s3:*", "*"), deny, tmp_path=tmp_path)
    with s3_error("AccessDenied", 403):
        user.get_object(Bucket=bucket, Key="k")


def test_a_denied_upload_is_refused_before_its_body_is_read(users, bucket, tmp_path):
    nobody, _ = users.user(tmp_path=tmp_path)
    url = users.client(users.create("presigner"), signature_version="s3v4").generate_presigned_url(
        "put_object", {"Bucket": bucket, "Key": "large"}
    )
    answer = requests.put(url, data=some_bytes(1_000_000), headers={"Expect": "100-continue"})
    assert (answer.status_code, "AccessDenied" in answer.text) == (403, True)
    with s3_error("AccessDenied", 403):
        nobody.put_object(Bucket=bucket, Key="large", Body=some_bytes(1_000_000))


def test_groups_disabled_keys_rotation_and_deletion(users, root, bucket):
    key = users.create("member")
    member = users.client(key)
    assert outcome(member.get_object, Bucket=bucket, Key="k") == "AccessDenied"
    users.admin("group", "create", "readers")
    users.admin("policy", "attach", "AmazonS3ReadOnlyAccess", "--group", "readers")
    users.admin("group", "add", "readers", "member")
    # A gateway knows a change of policies within five seconds (docs/security.md).
    wait_until(lambda: outcome(member.get_object, Bucket=bucket, Key="k") == "ok", "the policy of the group")
    assert outcome(member.delete_object, Bucket=bucket, Key="k") == "AccessDenied"
    users.admin("key", "disable", key[0], "--user", "member")
    wait_until(
        lambda: outcome(member.get_object, Bucket=bucket, Key="k") == "InvalidAccessKeyId", "the key to be refused"
    )
    users.admin("key", "enable", key[0], "--user", "member")
    wait_until(lambda: outcome(member.get_object, Bucket=bucket, Key="k") == "ok", "the key to be taken again")
    users.admin("user", "delete", "member", "--force", "--yes")
    wait_until(
        lambda: outcome(member.get_object, Bucket=bucket, Key="k") == "InvalidAccessKeyId", "the user to be gone"
    )
    assert root.get_object(Bucket=bucket, Key="k")["Body"].read() == b"body"
