"""Who may use a bucket: bucket policies, other accounts, the public, ownership and ACLs.

Sources: S3 User Guide, "Bucket policies", "Blocking public access to your Amazon S3 storage", "Controlling ownership of objects and
disabling ACLs for your bucket", "Access control list (ACL) overview"; IAM User Guide, "Cross-account policy evaluation logic"."""

import json

import harness
import pytest
from errors import outcome, s3_error
from people import People, allow, numbers, policy
from raw import Raw

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
NOTHING_BLOCKED = dict.fromkeys(
    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), False
)


@pytest.fixture(scope="module")
def cairn(tmp_path_factory):
    store = harness.start_cluster(tmp_path_factory.mktemp("access"), datanodes=1, gateways=2)
    yield store
    store.stop()


@pytest.fixture
def people(cairn, tmp_path):
    return People(cairn, tmp_path)


@pytest.fixture
def root(cairn):
    return cairn.client()


@pytest.fixture
def bucket(root):
    name = f"access-{next(numbers)}"
    root.create_bucket(Bucket=name)
    root.put_object(Bucket=name, Key="k", Body=b"body", Tagging="team=blue")
    return name


def block(root, bucket, **settings):
    root.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=NOTHING_BLOCKED | settings)


def own(root, bucket, setting):
    root.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": setting}]})


def public_read(bucket):
    return policy(allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal="*"))


def test_a_new_bucket_is_private_and_says_so(people, root, bucket):
    answer = people.anonymous("GET", f"/{bucket}/k")
    assert (answer.status_code, "AccessDenied" in answer.text) == (403, True)
    assert people.anonymous("GET", f"/{bucket}").status_code == 403
    assert people.anonymous("GET", "/").status_code == 403
    assert people.anonymous("PUT", f"/{bucket}/new", data=b"x").status_code == 403
    assert people.anonymous("GET", "/no-such-bucket").status_code == 404
    blocks = root.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert blocks == dict.fromkeys(NOTHING_BLOCKED, True)
    rules = root.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    with s3_error("NoSuchBucketPolicy", 404):
        root.get_bucket_policy(Bucket=bucket)


def test_a_public_policy_opens_a_bucket_as_far_as_the_blocks_let_it(people, root, bucket):
    with s3_error("AccessDenied", 403):
        root.put_bucket_policy(Bucket=bucket, Policy=public_read(bucket))
    block(root, bucket)
    text = public_read(bucket)
    root.put_bucket_policy(Bucket=bucket, Policy=text)
    assert root.get_bucket_policy(Bucket=bucket)["Policy"] == text
    assert root.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is True
    answer = people.anonymous("GET", f"/{bucket}/k")
    assert (answer.status_code, answer.content) == (200, b"body")
    assert people.anonymous("HEAD", f"/{bucket}/k").status_code == 200
    replaced = people.anonymous("GET", f"/{bucket}/k?response-content-type=text/html")
    assert (replaced.status_code, "InvalidRequest" in replaced.text) == (400, True)
    for method, path in (("GET", f"/{bucket}"), ("PUT", f"/{bucket}/k"), ("DELETE", f"/{bucket}/k")):
        assert people.anonymous(method, path).status_code == 403, (method, path)
    # Who may not list the bucket does not learn which keys exist.
    assert people.anonymous("GET", f"/{bucket}/none").status_code == 403
    block(root, bucket, RestrictPublicBuckets=True)
    assert people.anonymous("GET", f"/{bucket}/k").status_code == 403
    user, _ = people.user()
    assert people.client(user).get_object(Bucket=bucket, Key="k")["Body"].read() == b"body", "the own account"
    root.delete_public_access_block(Bucket=bucket)
    with s3_error("NoSuchPublicAccessBlockConfiguration", 404):
        root.get_public_access_block(Bucket=bucket)
    assert people.anonymous("GET", f"/{bucket}/k").status_code == 200
    root.delete_bucket_policy(Bucket=bucket)
    assert people.anonymous("GET", f"/{bucket}/k").status_code == 403


def test_what_is_taken_away_at_one_gateway_is_denied_by_the_next(people, root, bucket):
    """No gateway asks before a decision, so only the state that its call carries can tell it."""
    block(root, bucket)
    for _ in range(5):
        root.put_bucket_policy(Bucket=bucket, Policy=public_read(bucket))
        for gateway in (0, 1):
            assert people.anonymous("GET", f"/{bucket}/k", gateway).status_code == 200
        root.delete_bucket_policy(Bucket=bucket)
        for gateway in (1, 0):
            assert people.anonymous("GET", f"/{bucket}/k", gateway).status_code == 403
    # The same for what a user's own policy gives.
    key, arn = people.user(allow("s3:*", "*"))
    clients = [people.client(key, gateway) for gateway in (0, 1)]
    assert [outcome(s3.get_object, Bucket=bucket, Key="k") for s3 in clients] == ["ok", "ok"]
    name = arn.rsplit("/", 1)[1]
    people.admin("policy", "detach", name, "--user", name)
    assert [outcome(s3.get_object, Bucket=bucket, Key="k") for s3 in clients] == ["AccessDenied"] * 2


def test_another_account_needs_the_bucket_and_its_own_policies(people, root, bucket):
    account, _, root_key = people.account()
    able, arn = people.user(allow("s3:*", "*"), account=account)
    unable, _ = people.user(account=account)
    clients = [people.client(key) for key in (root_key, able, unable)]

    def got():
        return [outcome(s3.get_object, Bucket=bucket, Key="k") for s3 in clients]

    assert got() == ["AccessDenied"] * 3
    objects = f"arn:aws:s3:::{bucket}/*"
    root.put_bucket_policy(Bucket=bucket, Policy=policy(allow("s3:GetObject", objects, Principal={"AWS": account})))
    assert root.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is False
    assert got() == ["ok", "ok", "AccessDenied"]
    root.put_bucket_policy(Bucket=bucket, Policy=policy(allow("s3:GetObject", objects, Principal={"AWS": arn})))
    assert got() == ["AccessDenied", "ok", "AccessDenied"]
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": objects}
    root.put_bucket_policy(
        Bucket=bucket, Policy=policy(allow("s3:GetObject", objects, Principal={"AWS": account}), deny)
    )
    assert got() == ["AccessDenied"] * 3
    with s3_error("AccessDenied", 403):
        root.get_object(Bucket=bucket, Key="k")
    root.delete_bucket_policy(Bucket=bucket)
    # Buckets belong to the account that makes them, and names to all.
    theirs = people.client(root_key)
    with s3_error("BucketAlreadyExists", 409):
        theirs.create_bucket(Bucket=bucket)
    theirs.create_bucket(Bucket=f"{bucket}-theirs")
    assert [b["Name"] for b in theirs.list_buckets()["Buckets"]] == [f"{bucket}-theirs"]
    assert f"{bucket}-theirs" not in [b["Name"] for b in root.list_buckets()["Buckets"]]
    with s3_error("AccessDenied", 403):
        root.list_objects_v2(Bucket=f"{bucket}-theirs")
    assert theirs.list_objects_v2(Bucket=f"{bucket}-theirs", ExpectedBucketOwner=account)["KeyCount"] == 0
    with s3_error("AccessDenied", 403):
        theirs.list_objects_v2(Bucket=f"{bucket}-theirs", ExpectedBucketOwner="000000000000")


def test_only_the_owners_account_changes_a_policy(people, root, bucket):
    account, _, root_key = people.account()
    statement = allow(["s3:GetBucketPolicy", "s3:PutBucketPolicy"], f"arn:aws:s3:::{bucket}", Principal={"AWS": account})
    root.put_bucket_policy(Bucket=bucket, Policy=policy(statement))
    with s3_error("MethodNotAllowed", 405):
        people.client(root_key).get_bucket_policy(Bucket=bucket)
    # A user must say that it means to lock itself out; the root user is never locked out.
    key, arn = people.user(allow("s3:*", "*"))
    lock_out = policy(
        {"Effect": "Deny", "Principal": {"AWS": arn}, "Action": "s3:PutBucketPolicy", "Resource": f"arn:aws:s3:::{bucket}"}
    )
    with s3_error("InvalidRequest", 400):
        people.client(key).put_bucket_policy(Bucket=bucket, Policy=lock_out)
    people.client(key).put_bucket_policy(Bucket=bucket, Policy=lock_out, ConfirmRemoveSelfBucketAccess=True)
    with s3_error("AccessDenied", 403):
        people.client(key).put_bucket_policy(Bucket=bucket, Policy=lock_out)
    everything = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}"}
    root.put_bucket_policy(Bucket=bucket, Policy=policy(everything))
    with s3_error("AccessDenied", 403):
        root.list_objects_v2(Bucket=bucket)
    root.delete_bucket_policy(Bucket=bucket)
    root.list_objects_v2(Bucket=bucket)


def test_policies_that_are_wrong_are_refused_in_words_and_leave_no_trace(root, bucket):
    objects = f"arn:aws:s3:::{bucket}/*"

    def refused(document, words, code="MalformedPolicy", status=400):
        text = document if isinstance(document, str) else json.dumps(document)
        with s3_error(code, status):
            try:
                root.put_bucket_policy(Bucket=bucket, Policy=text)
            except root.exceptions.ClientError as error:
                assert words in error.response["Error"]["Message"], error
                raise
        with s3_error("NoSuchBucketPolicy", 404):
            root.get_bucket_policy(Bucket=bucket)

    def statement(**changes):
        base = allow("s3:GetObject", objects, Principal={"AWS": "000000000000"})
        return {"Version": "2012-10-17", "Statement": [base | changes]}

    refused("no JSON", "valid JSON")
    refused({"Version": "2012-10-17"}, "Missing required field Statement")
    refused(statement(Effect="Maybe"), "Invalid effect")
    refused(statement(Colour="red"), "unknown field")
    refused(statement(Principal={"AWS": "999999999999"}), "Invalid principal in policy")
    refused(statement(Principal={"AWS": "arn:aws:iam::000000000000:user/nobody"}), "Invalid principal in policy")
    refused(statement(Principal={"CanonicalUser": "0" * 64}), "Invalid principal in policy")
    refused(statement(Principal={"Service": "cloudfront.amazonaws.com"}), "Invalid principal in policy")
    refused(statement(Resource="arn:aws:s3:::another/*"), "Policy has invalid resource")
    refused(statement(Action="s3:NoSuchAction"), "Policy has invalid action")
    refused(statement(Resource=f"arn:aws:s3:::{bucket}"), "Action does not apply to any resource(s) in statement")
    refused(statement(Condition={"StringIs": {"aws:Referer": "x"}}), "Invalid Condition type")
    refused(statement(Condition={"StringEquals": {"my:key": "x"}}), "invalid condition key")
    refused(statement(Condition={"StringEquals": {"aws:SourceVpce": "x"}}), "aws:SourceVpce", "NotImplemented", 501)
    refused(statement(Sid="x" * 20_480), "maximum allowed document size")
    root.put_bucket_policy(Bucket=bucket, Policy=json.dumps(statement()))


def test_conditions_of_a_bucket_policy(people, root, bucket):
    objects = f"arn:aws:s3:::{bucket}/*"

    def got(condition, **request):
        statement = allow("s3:GetObject", objects, Principal={"AWS": "000000000000"}, Condition=condition)
        deny = {**statement, "Effect": "Deny"}
        root.put_bucket_policy(Bucket=bucket, Policy=policy(deny))
        return outcome(root.get_object, Bucket=bucket, Key="k", **request)

    assert got({"StringEquals": {"s3:ExistingObjectTag/team": "blue"}}) == "AccessDenied"
    assert got({"StringEquals": {"s3:ExistingObjectTag/team": "red"}}) == "ok"
    assert got({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}) == "AccessDenied"
    assert got({"Bool": {"aws:SecureTransport": "true"}}) == "ok"
    assert got({"StringEquals": {"s3:authType": "REST-HEADER"}}) == "AccessDenied"
    assert got({"StringNotEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}}) == "ok"
    assert got({"StringEquals": {"aws:PrincipalAccount": "000000000000"}}) == "AccessDenied"
    assert got({"StringEquals": {"s3:ResourceAccount": "000000000000"}}) == "AccessDenied"
    assert got({"NumericGreaterThan": {"s3:signatureAge": "1"}}) in ("ok", "AccessDenied")


def test_acls_count_only_where_ownership_lets_them(people, root, bucket):
    for call in (
        lambda: root.put_bucket_acl(Bucket=bucket, ACL="public-read"),
        lambda: root.put_bucket_acl(Bucket=bucket, ACL="private"),
        lambda: root.put_object_acl(Bucket=bucket, Key="k", ACL="public-read"),
        lambda: root.put_object(Bucket=bucket, Key="new", Body=b"x", ACL="public-read"),
        lambda: root.copy_object(Bucket=bucket, Key="new", CopySource=f"{bucket}/k", ACL="public-read"),
        lambda: root.create_multipart_upload(Bucket=bucket, Key="new", ACL="public-read"),
    ):
        with s3_error("AccessControlListNotSupported", 400):
            call()
    root.put_object(Bucket=bucket, Key="full", Body=b"x", ACL="bucket-owner-full-control")
    root.put_object(Bucket=bucket, Key="full", Body=b"x", ACL="private")
    root.put_object_acl(Bucket=bucket, Key="k", ACL="bucket-owner-full-control")
    shown = root.get_object_acl(Bucket=bucket, Key="k")
    assert [grant["Permission"] for grant in shown["Grants"]] == ["FULL_CONTROL"]
    root.put_object_acl(
        Bucket=bucket, Key="k", AccessControlPolicy={"Owner": shown["Owner"], "Grants": shown["Grants"]}
    )
    own(root, bucket, "ObjectWriter")
    with s3_error("AccessDenied", 403):
        root.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    assert people.anonymous("GET", f"/{bucket}/k").status_code == 403
    block(root, bucket)
    root.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    grants = root.get_object_acl(Bucket=bucket, Key="k")["Grants"]
    assert [(g["Grantee"].get("URI"), g["Permission"]) for g in grants] == [(None, "FULL_CONTROL"), (ALL_USERS, "READ")]
    assert people.anonymous("GET", f"/{bucket}/k").status_code == 200
    assert people.anonymous("GET", f"/{bucket}/k?tagging").status_code == 403
    # A new object in its place is private again.
    root.put_object(Bucket=bucket, Key="k", Body=b"second")
    assert people.anonymous("GET", f"/{bucket}/k").status_code == 403
    root.put_object(Bucket=bucket, Key="k", Body=b"third", GrantRead=f'uri="{ALL_USERS}"')
    assert people.anonymous("GET", f"/{bucket}/k").text == "third"
    root.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")
    assert people.anonymous("GET", f"/{bucket}/copy").status_code == 403, "an ACL is not copied"
    block(root, bucket, IgnorePublicAcls=True)
    assert people.anonymous("GET", f"/{bucket}/k").status_code == 403
    block(root, bucket)
    own(root, bucket, "BucketOwnerEnforced")
    assert people.anonymous("GET", f"/{bucket}/k").status_code == 403
    assert len(root.get_object_acl(Bucket=bucket, Key="k")["Grants"]) == 1


def test_acl_of_a_bucket(people, root, bucket):
    own(root, bucket, "BucketOwnerPreferred")
    block(root, bucket)
    root.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    assert people.anonymous("GET", f"/{bucket}").status_code == 200
    assert people.anonymous("GET", f"/{bucket}?acl").status_code == 403
    made = people.anonymous("PUT", f"/{bucket}/theirs", data=b"x")
    assert made.status_code == 200, made.text
    # What nobody in particular made belongs to nobody in particular.
    assert root.list_objects(Bucket=bucket, Prefix="theirs")["Contents"][0]["Owner"]["ID"].startswith("65a011a2")
    with s3_error("InvalidBucketAclWithObjectOwnership", 400):
        own(root, bucket, "BucketOwnerEnforced")
    root.put_bucket_acl(Bucket=bucket, ACL="private")
    own(root, bucket, "BucketOwnerEnforced")
    assert people.anonymous("GET", f"/{bucket}").status_code == 403
    root.delete_bucket_ownership_controls(Bucket=bucket)
    with s3_error("OwnershipControlsNotFoundError", 404):
        root.get_bucket_ownership_controls(Bucket=bucket)
    root.put_bucket_acl(Bucket=bucket, ACL="log-delivery-write")
    assert len(root.get_bucket_acl(Bucket=bucket)["Grants"]) == 3


def test_an_object_belongs_to_its_writer_unless_the_bucket_says_otherwise(people, root, bucket):
    account, canonical, root_key = people.account()
    theirs = people.client(root_key)
    write = allow(["s3:PutObject", "s3:PutObjectAcl"], f"arn:aws:s3:::{bucket}/*", Principal={"AWS": account})
    root.put_bucket_policy(Bucket=bucket, Policy=policy(write))

    def owners():
        listed = root.list_objects(Bucket=bucket)["Contents"]
        return {o["Key"]: o["Owner"]["ID"] == canonical for o in listed}

    theirs.put_object(Bucket=bucket, Key="enforced", Body=b"x")
    with s3_error("AccessControlListNotSupported", 400):
        theirs.put_object(Bucket=bucket, Key="enforced", Body=b"x", ACL="private")
    own(root, bucket, "ObjectWriter")
    theirs.put_object(Bucket=bucket, Key="writer", Body=b"x")
    theirs.put_object(Bucket=bucket, Key="shared", Body=b"x", ACL="bucket-owner-full-control")
    own(root, bucket, "BucketOwnerPreferred")
    theirs.put_object(Bucket=bucket, Key="kept", Body=b"x")
    theirs.put_object(Bucket=bucket, Key="given", Body=b"x", ACL="bucket-owner-full-control")
    wanted = {"enforced": False, "k": False, "writer": True, "shared": True, "kept": True, "given": False}
    assert owners() == wanted
    versions = root.list_object_versions(Bucket=bucket)["Versions"]
    assert {v["Key"]: v["Owner"]["ID"] == canonical for v in versions} == wanted
    assert outcome(root.get_object, Bucket=bucket, Key="writer") == "AccessDenied", "the bucket's owner has no right"
    assert outcome(root.get_object, Bucket=bucket, Key="shared") == "ok"
    assert outcome(theirs.get_object, Bucket=bucket, Key="writer") == "ok"
    assert outcome(theirs.get_object, Bucket=bucket, Key="k") == "AccessDenied"
    assert root.get_object_acl(Bucket=bucket, Key="shared")["Owner"]["ID"] == canonical
    upload = theirs.create_multipart_upload(Bucket=bucket, Key="parts")
    listed = root.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [u["Owner"]["ID"] for u in listed if u["UploadId"] == upload["UploadId"]] == [canonical]
    own(root, bucket, "BucketOwnerEnforced")
    assert set(owners().values()) == {False}
    assert outcome(root.get_object, Bucket=bucket, Key="writer") == "ok"


def test_grants_that_are_wrong_are_refused(root, bucket):
    own(root, bucket, "ObjectWriter")
    put = lambda **more: root.put_object_acl(Bucket=bucket, Key="k", **more)  # noqa: E731
    with s3_error("InvalidArgument", 400):
        put(GrantRead=f'id="{"0" * 64}"')
    with s3_error("InvalidArgument", 400):
        put(GrantRead='uri="http://acs.amazonaws.com/groups/global/Nobody"')
    with s3_error("MethodNotAllowed", 405):
        put(GrantRead='emailAddress="a@example.com"')
    with s3_error("InvalidRequest", 400):
        put(ACL="private", GrantRead=f'uri="{ALL_USERS}"')
    with s3_error("InvalidArgument", 400):
        put(ACL="junk")
    shown = root.get_object_acl(Bucket=bucket, Key="k")
    stranger = shown["Owner"] | {"ID": "0" * 64}
    with s3_error("AccessDenied", 403):
        put(AccessControlPolicy={"Owner": stranger, "Grants": shown["Grants"]})
    assert root.get_object_acl(Bucket=bucket, Key="k")["Grants"] == shown["Grants"]


def test_acls_of_versions(people, root, bucket):
    own(root, bucket, "ObjectWriter")
    block(root, bucket)
    root.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = root.put_object(Bucket=bucket, Key="v", Body=b"first")["VersionId"]
    root.put_object(Bucket=bucket, Key="v", Body=b"second")
    root.put_object_acl(Bucket=bucket, Key="v", VersionId=first, ACL="public-read")
    assert people.anonymous("GET", f"/{bucket}/v?versionId={first}").text == "first"
    assert people.anonymous("GET", f"/{bucket}/v").status_code == 403
    assert len(root.get_object_acl(Bucket=bucket, Key="v")["Grants"]) == 1


def test_new_buckets_with_acls(root):
    def made(**more):
        name = f"made-{next(numbers)}"
        try:
            root.create_bucket(Bucket=name, **more)
        except root.exceptions.ClientError as error:
            return error.response["Error"]["Code"]
        return root.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"][0]["ObjectOwnership"]

    assert made() == "BucketOwnerEnforced"
    assert made(ObjectOwnership="ObjectWriter") == "ObjectWriter"
    assert made(ACL="private") == "BucketOwnerPreferred"
    assert made(ACL="public-read") == "InvalidBucketAclWithObjectOwnership"
    assert made(ACL="public-read", ObjectOwnership="ObjectWriter") == "InvalidBucketAclWithBlockPublicAccessError"


def test_an_account_blocks_public_access_to_all_its_buckets(people, cairn, root, bucket):
    path = "/v20180820/configuration/publicAccessBlock"
    account, _, root_key = people.account()
    theirs = people.client(root_key)
    name = f"{bucket}-blocked"
    theirs.create_bucket(Bucket=name)
    theirs.delete_public_access_block(Bucket=name)
    theirs.put_object(Bucket=name, Key="k", Body=b"x")
    theirs.put_bucket_policy(Bucket=name, Policy=public_read(name))
    assert people.anonymous("GET", f"/{name}/k").status_code == 200
    control = Raw(cairn.gateways[0].port, *root_key)
    headers = {"x-amz-account-id": account}
    assert control.send("GET", path, headers=headers).code == "NoSuchPublicAccessBlockConfiguration"
    settings = "".join(f"<{name}>true</{name}>" for name in NOTHING_BLOCKED)
    document = (
        '<PublicAccessBlockConfiguration xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/">'
        f"{settings}</PublicAccessBlockConfiguration>"
    ).encode()
    assert Raw(cairn.gateways[0].port).send("PUT", path, headers=headers, body=document).code == "AccessDenied"
    assert people.anonymous("GET", path, headers=headers).status_code == 403
    assert control.send("PUT", path, headers=headers, body=document).status == 201
    assert b"<RestrictPublicBuckets>true<" in control.send("GET", path, headers=headers).body
    assert people.anonymous("GET", f"/{name}/k", 1).status_code == 403
    with s3_error("AccessDenied", 403):
        theirs.put_bucket_policy(Bucket=name, Policy=public_read(name))
    assert control.send("DELETE", path, headers=headers).status == 204
    assert people.anonymous("GET", f"/{name}/k", 1).status_code == 200
