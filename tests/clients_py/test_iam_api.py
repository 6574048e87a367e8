"""The IAM API: users, groups, roles, keys and policies by boto3 and aws-cli, and what they may then do with S3.

Sources: IAM API Reference; Service Authorization Reference, "Actions, resources, and condition keys for AWS Identity and Access
Management"; IAM User Guide, "IAM and AWS STS quotas"."""

import itertools
import json

import boto3
import harness
import pytest
import requests
import tools
from botocore.config import Config
from errors import outcome, s3_error
from harness import ACCESS_KEY, REGION, SECRET_KEY, run_cairn, s3_client

_numbers = itertools.count()

ACCOUNT = "000000000000"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}],
    }
)


def document(action, resource="*", effect="Allow", **more):
    statement = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


ALL_S3 = document("s3:*")


@pytest.fixture(scope="module")
def cairn(tmp_path_factory):
    store = harness.start_cluster(tmp_path_factory.mktemp("iam"), datanodes=1)
    yield store
    store.stop()


def client_of(cairn, service, access_key=ACCESS_KEY, secret_key=SECRET_KEY, token=None):
    return boto3.client(
        service,
        endpoint_url=cairn.gateways[0].url,
        region_name=REGION,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def iam(cairn):
    return client_of(cairn, "iam")


@pytest.fixture
def name():
    return f"name-{next(_numbers)}"


def new_key(iam, user):
    key = iam.create_access_key(UserName=user)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


@pytest.fixture
def alice(iam, name):
    """A user with a key, and clients of it."""
    iam.create_user(UserName=name)
    return name, new_key(iam, name)


def policy_arn(iam, name, text):
    return iam.create_policy(PolicyName=name, PolicyDocument=text)["Policy"]["Arn"]


# Users and keys.


def test_a_user_with_all_it_can_be_created_with(iam, name):
    boundary = policy_arn(iam, f"{name}-limit", ALL_S3)
    made = iam.create_user(
        UserName=name, Path="/team/", PermissionsBoundary=boundary, Tags=[{"Key": "cost", "Value": "7"}]
    )["User"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/team/{name}"
    assert made["UserId"].startswith("AIDA")
    found = iam.get_user(UserName=name)["User"]
    assert found == made
    assert found["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    assert found["Tags"] == [{"Key": "cost", "Value": "7"}]
    assert iam.list_users(PathPrefix="/team/")["Users"][-1]["UserName"] == name
    iam.tag_user(UserName=name, Tags=[{"Key": "a", "Value": ""}, {"Key": "cost", "Value": "8"}])
    assert iam.list_user_tags(UserName=name)["Tags"] == [{"Key": "a", "Value": ""}, {"Key": "cost", "Value": "8"}]
    iam.untag_user(UserName=name, TagKeys=["a"])
    assert iam.list_user_tags(UserName=name)["Tags"] == [{"Key": "cost", "Value": "8"}]
    iam.update_user(UserName=name, NewUserName=f"{name}-b", NewPath="/other/")
    renamed = iam.get_user(UserName=f"{name}-b")["User"]
    assert (renamed["UserId"], renamed["Path"]) == (made["UserId"], "/other/")
    iam.delete_user_permissions_boundary(UserName=f"{name}-b")
    iam.delete_user(UserName=f"{name}-b")
    with s3_error("NoSuchEntity", 404):
        iam.get_user(UserName=name)


def test_a_user_and_its_key_work_for_s3_at_once(cairn, iam, name):
    root = cairn.client()
    root.create_bucket(Bucket=name)
    iam.create_user(UserName=name)
    s3 = s3_client(cairn.gateways[0].url, *new_key(iam, name))
    assert outcome(s3.put_object, Bucket=name, Key="k", Body=b"x") == "AccessDenied"
    text = document(["s3:PutObject", "s3:GetObject"], f"arn:aws:s3:::{name}/*")
    iam.put_user_policy(UserName=name, PolicyName="rw", PolicyDocument=text)
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"x"
    assert outcome(s3.delete_object, Bucket=name, Key="k") == "AccessDenied"
    iam.delete_user_policy(UserName=name, PolicyName="rw")
    assert outcome(s3.get_object, Bucket=name, Key="k") == "AccessDenied"


def test_keys_are_listed_disabled_and_deleted(cairn, iam, alice):
    name, (access_key, secret_key) = alice
    s3 = s3_client(cairn.gateways[0].url, access_key, secret_key)
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=ALL_S3)
    s3.list_buckets()
    listed = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
    assert [(key["AccessKeyId"], key["Status"], key["UserName"]) for key in listed] == [(access_key, "Active", name)]
    used = iam.get_access_key_last_used(AccessKeyId=access_key)
    assert used["UserName"] == name and used["AccessKeyLastUsed"]["ServiceName"] == "N/A"
    iam.update_access_key(UserName=name, AccessKeyId=access_key, Status="Inactive")
    assert iam.get_access_key_last_used(AccessKeyId=access_key)["UserName"] == name
    assert outcome(s3.list_buckets) == "InvalidAccessKeyId"
    iam.update_access_key(UserName=name, AccessKeyId=access_key, Status="Active")
    s3.list_buckets()
    new_key(iam, name)
    with s3_error("LimitExceeded", 409):
        iam.create_access_key(UserName=name)
    iam.delete_access_key(UserName=name, AccessKeyId=access_key)
    assert outcome(s3.list_buckets) == "InvalidAccessKeyId"
    with s3_error("NoSuchEntity", 404):
        iam.delete_access_key(UserName=name, AccessKeyId=access_key)
    with s3_error("NoSuchEntity", 404):
        iam.get_access_key_last_used(AccessKeyId=access_key)


def test_what_a_user_has_keeps_it_from_being_deleted(iam, alice):
    name, (access_key, _) = alice
    with s3_error("DeleteConflict", 409):
        iam.delete_user(UserName=name)
    iam.delete_access_key(UserName=name, AccessKeyId=access_key)
    # What terraform asks for before it deletes a user.
    assert iam.list_groups_for_user(UserName=name)["Groups"] == []
    assert iam.list_mfa_devices(UserName=name)["MFADevices"] == []
    assert iam.list_signing_certificates(UserName=name)["Certificates"] == []
    assert iam.list_service_specific_credentials(UserName=name)["ServiceSpecificCredentials"] == []
    assert iam.list_ssh_public_keys(UserName=name)["SSHPublicKeys"] == []
    with s3_error("NoSuchEntity", 404):
        iam.get_login_profile(UserName=name)
    iam.delete_user(UserName=name)
    with s3_error("NoSuchEntity", 404):
        iam.list_mfa_devices(UserName=name)


# Groups.


def test_groups_give_their_members_policies(cairn, iam, alice):
    name, key = alice
    group = iam.create_group(GroupName=f"g-{name}", Path="/g/")["Group"]
    assert group["Arn"] == f"arn:aws:iam::{ACCOUNT}:group/g/g-{name}"
    iam.add_user_to_group(GroupName=f"g-{name}", UserName=name)
    iam.attach_group_policy(GroupName=f"g-{name}", PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    s3_client(cairn.gateways[0].url, *key).list_buckets()
    assert [user["UserName"] for user in iam.get_group(GroupName=f"g-{name}")["Users"]] == [name]
    assert [one["GroupName"] for one in iam.list_groups_for_user(UserName=name)["Groups"]] == [f"g-{name}"]
    assert f"g-{name}" in [one["GroupName"] for one in iam.list_groups()["Groups"]]
    with s3_error("DeleteConflict", 409):
        iam.delete_group(GroupName=f"g-{name}")
    iam.remove_user_from_group(GroupName=f"g-{name}", UserName=name)
    assert outcome(s3_client(cairn.gateways[0].url, *key).list_buckets) == "AccessDenied"
    iam.detach_group_policy(GroupName=f"g-{name}", PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    iam.update_group(GroupName=f"g-{name}", NewGroupName=f"h-{name}")
    iam.delete_group(GroupName=f"h-{name}")
    with s3_error("NoSuchEntity", 404):
        iam.get_group(GroupName=f"h-{name}")


# Policies.


def test_managed_policies_have_versions(iam, alice):
    name, _ = alice
    made = iam.create_policy(PolicyName=name, Path="/p/", PolicyDocument=ALL_S3, Description="all")["Policy"]
    arn = made["Arn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:policy/p/{name}"
    assert (made["DefaultVersionId"], made["AttachmentCount"], made["IsAttachable"]) == ("v1", 0, True)
    second = iam.create_policy_version(PolicyArn=arn, PolicyDocument=document("s3:GetObject"), SetAsDefault=True)
    assert second["PolicyVersion"]["VersionId"] == "v2"
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [(one["VersionId"], one["IsDefaultVersion"]) for one in versions] == [("v2", True), ("v1", False)]
    found = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    assert found["Document"] == json.loads(ALL_S3), "boto3 decodes what is percent-encoded"
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v1"
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    attached = iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]
    assert attached == [{"PolicyName": name, "PolicyArn": arn}]
    entities = iam.list_entities_for_policy(PolicyArn=arn)
    assert [one["UserName"] for one in entities["PolicyUsers"]] == [name]
    assert (entities["PolicyGroups"], entities["PolicyRoles"]) == ([], [])
    with s3_error("DeleteConflict", 409):
        iam.delete_policy(PolicyArn=arn)
    iam.detach_user_policy(UserName=name, PolicyArn=arn)
    with s3_error("DeleteConflict", 409):
        iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    iam.delete_policy(PolicyArn=arn)
    with s3_error("NoSuchEntity", 404):
        iam.get_policy(PolicyArn=arn)


def test_inline_policies_are_kept_as_they_were_sent(iam, alice):
    name, _ = alice
    text = document("s3:GetObject", "arn:aws:s3:::b/${aws:username}/*", Condition={"Bool": {"aws:SecureTransport": "true"}})
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=text)
    found = iam.get_user_policy(UserName=name, PolicyName="own")
    assert (found["UserName"], found["PolicyName"], found["PolicyDocument"]) == (name, "own", json.loads(text))
    assert iam.list_user_policies(UserName=name)["PolicyNames"] == ["own"]
    iam.delete_user_policy(UserName=name, PolicyName="own")
    with s3_error("NoSuchEntity", 404):
        iam.get_user_policy(UserName=name, PolicyName="own")


def test_listings_have_pages(iam, name):
    for number in range(5):
        iam.create_user(UserName=f"{name}-{number}", Path=f"/{name}/")
    pages = list(
        iam.get_paginator("list_users").paginate(PathPrefix=f"/{name}/", PaginationConfig={"PageSize": 2})
    )
    assert [len(page["Users"]) for page in pages] == [2, 2, 1]
    assert [page["IsTruncated"] for page in pages] == [True, True, False]
    assert [user["UserName"] for page in pages for user in page["Users"]] == [f"{name}-{number}" for number in range(5)]
    for number in range(3):
        iam.put_user_policy(UserName=f"{name}-0", PolicyName=f"p{number}", PolicyDocument=document("s3:Get*"))
    pages = iam.get_paginator("list_user_policies").paginate(
        UserName=f"{name}-0", PaginationConfig={"PageSize": 2}
    )
    assert [page["PolicyNames"] for page in pages] == [["p0", "p1"], ["p2"]]
    policies = iam.get_paginator("list_policies").paginate(Scope="AWS", PaginationConfig={"PageSize": 3})
    arns = [policy["Arn"] for page in policies for policy in page["Policies"]]
    assert "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess" in arns and len(set(arns)) == len(arns)
    with s3_error("ValidationError", 400):
        iam.list_users(Marker="no marker!")


# Roles.


def test_roles_are_created_changed_and_deleted(iam, name):
    made = iam.create_role(
        RoleName=name, Path="/r/", AssumeRolePolicyDocument=TRUST, Description="d", MaxSessionDuration=7200
    )["Role"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/r/{name}"
    found = iam.get_role(RoleName=name)["Role"]
    assert found["AssumeRolePolicyDocument"] == json.loads(TRUST)
    assert (found["MaxSessionDuration"], found["Description"]) == (7200, "d")
    iam.update_role(RoleName=name, Description="e", MaxSessionDuration=3600)
    changed = iam.get_role(RoleName=name)["Role"]
    assert (changed["MaxSessionDuration"], changed["Description"]) == (3600, "e")
    other = TRUST.replace("Allow", "Deny")
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=other)
    assert iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"] == json.loads(other)
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=ALL_S3)
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["p"]
    assert iam.get_role_policy(RoleName=name, PolicyName="p")["PolicyDocument"] == json.loads(ALL_S3)
    iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    assert len(iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]) == 1
    assert iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"] == []
    with s3_error("DeleteConflict", 409):
        iam.delete_role(RoleName=name)
    iam.detach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    iam.delete_role_policy(RoleName=name, PolicyName="p")
    iam.delete_role(RoleName=name)
    assert name not in [role["RoleName"] for role in iam.list_roles()["Roles"]]


def test_a_trust_policy_names_principals_that_exist(iam, name):
    missing = TRUST.replace(f'"{ACCOUNT}"', f'"arn:aws:iam::{ACCOUNT}:user/nobody-{name}"')
    with s3_error("MalformedPolicyDocument", 400):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=missing)
    with s3_error("NoSuchEntity", 404):
        iam.get_role(RoleName=name)


def test_openid_connect_providers(iam, name):
    made = iam.create_open_id_connect_provider(
        Url=f"https://{name}.example.com/realms/a", ClientIDList=["sts"], ThumbprintList=["a" * 40]
    )
    arn = made["OpenIDConnectProviderArn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:oidc-provider/{name}.example.com/realms/a"
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="web")
    iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="sts")
    iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=arn, ThumbprintList=["b" * 40])
    found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert found["Url"] == f"{name}.example.com/realms/a"
    assert (found["ClientIDList"], found["ThumbprintList"]) == (["web"], ["b" * 40])
    assert {"Arn": arn} in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    with s3_error("EntityAlreadyExists", 409):
        iam.create_open_id_connect_provider(Url=f"https://{name}.example.com/realms/a")
    with s3_error("InvalidInput", 400):
        iam.create_open_id_connect_provider(Url="http://id.example.com")
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    with s3_error("NoSuchEntity", 404):
        iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)


def test_the_account_has_a_summary(iam, alice):
    summary = iam.get_account_summary()["SummaryMap"]
    assert summary["Users"] >= 1 and summary["AccountMFAEnabled"] == 0
    assert iam.list_account_aliases()["AccountAliases"] == []


# Bad input.


BAD_INPUT = {
    "a name with a space": ("ValidationError", lambda iam, n: iam.create_user(UserName="a b")),
    "a name of 65 characters": ("ValidationError", lambda iam, n: iam.create_user(UserName="x" * 65)),
    "a path without its end": ("ValidationError", lambda iam, n: iam.create_user(UserName=n, Path="/a")),
    "no JSON": ("MalformedPolicyDocument", lambda iam, n: iam.create_policy(PolicyName=n, PolicyDocument="{")),
    "an unknown element": (
        "MalformedPolicyDocument",
        lambda iam, n: iam.create_policy(PolicyName=n, PolicyDocument=document("s3:*", Resources="*")),
    ),
    "a principal in an identity's policy": (
        "MalformedPolicyDocument",
        lambda iam, n: iam.create_policy(PolicyName=n, PolicyDocument=document("s3:*", Principal="*")),
    ),
    "a resource in a trust policy": (
        "MalformedPolicyDocument",
        lambda iam, n: iam.create_role(RoleName=n, AssumeRolePolicyDocument=document("sts:AssumeRole", Principal="*")),
    ),
    "a session of 12 hours and a second": (
        "ValidationError",
        lambda iam, n: iam.create_role(RoleName=n, AssumeRolePolicyDocument=TRUST, MaxSessionDuration=43201),
    ),
    "no policy's ARN": (
        "InvalidInput",
        lambda iam, n: iam.attach_user_policy(UserName="x", PolicyArn="arn:aws:iam::000000000000:user/x"),
    ),
    "a tag twice": (
        "InvalidInput",
        lambda iam, n: iam.create_user(UserName=n, Tags=[{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]),
    ),
    "a tag of AWS": ("InvalidInput", lambda iam, n: iam.create_user(UserName=n, Tags=[{"Key": "aws:a", "Value": "1"}])),
    "a boundary that is no ARN": (
        "InvalidInput",
        lambda iam, n: iam.create_user(UserName=n, PermissionsBoundary="not-an-arn-of-a-policy"),
    ),
    "a page of no entries": ("ValidationError", lambda iam, n: iam.list_users(MaxItems=0)),
    "a page of 1,001": ("ValidationError", lambda iam, n: iam.list_users(MaxItems=1001)),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_refused_and_stores_nothing(cairn, name, case):
    iam = boto3.client(
        "iam",
        endpoint_url=cairn.gateways[0].url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        # boto3 would refuse some of it itself.
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
    )
    before = everything(iam)
    code, call = BAD_INPUT[case]
    with s3_error(code, 400):
        call(iam, name)
    assert everything(iam) == before


def everything(iam):
    return (
        [user["UserName"] for user in iam.list_users(MaxItems=1000)["Users"]],
        [role["RoleName"] for role in iam.list_roles(MaxItems=1000)["Roles"]],
        [policy["Arn"] for policy in iam.list_policies(Scope="Local", MaxItems=1000)["Policies"]],
    )


def test_names_that_are_taken(iam, alice):
    name, _ = alice
    with s3_error("EntityAlreadyExists", 409):
        iam.create_user(UserName=name.upper())
    policy_arn(iam, name, ALL_S3)
    with s3_error("EntityAlreadyExists", 409):
        iam.create_policy(PolicyName=name, PolicyDocument=ALL_S3)


# Who may do what.


def test_a_user_may_do_what_its_policies_allow(cairn, iam, alice):
    name, key = alice
    mine = client_of(cairn, "iam", *key)
    with s3_error("AccessDenied", 403):
        mine.get_user()
    own = f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}"
    text = document(["iam:GetUser", "iam:*AccessKey*"], own)
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=text)
    assert mine.get_user()["User"]["UserName"] == name
    rotated = mine.create_access_key()["AccessKey"]
    assert rotated["UserName"] == name
    assert len(mine.list_access_keys()["AccessKeyMetadata"]) == 2
    mine.delete_access_key(AccessKeyId=rotated["AccessKeyId"])
    before = everything(iam)
    for call in (
        lambda: mine.create_user(UserName=f"{name}-more"),
        lambda: mine.get_user(UserName="somebody-else"),
        lambda: mine.create_access_key(UserName="somebody-else"),
        lambda: mine.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=ALL_S3),
        lambda: mine.attach_user_policy(UserName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"),
        lambda: mine.list_users(),
    ):
        with s3_error("AccessDenied", 403):
            call()
    assert everything(iam) == before
    assert iam.list_user_policies(UserName=name)["PolicyNames"] == ["own"]


def test_an_explicit_deny_wins(cairn, iam, alice):
    name, key = alice
    mine = client_of(cairn, "iam", *key)
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=document("iam:*"))
    mine.create_user(UserName=f"{name}-a")
    iam.put_user_policy(
        UserName=name, PolicyName="no", PolicyDocument=document("iam:DeleteUser", effect="Deny")
    )
    with s3_error("AccessDenied", 403):
        mine.delete_user(UserName=f"{name}-a")
    assert iam.get_user(UserName=f"{name}-a")


def test_a_delegate_can_be_held_to_a_boundary(cairn, iam, alice):
    name, key = alice
    limit = policy_arn(iam, f"{name}-limit", document("s3:GetObject"))
    text = document("iam:CreateUser", Condition={"StringEquals": {"iam:PermissionsBoundary": limit}})
    iam.put_user_policy(UserName=name, PolicyName="delegate", PolicyDocument=text)
    mine = client_of(cairn, "iam", *key)
    with s3_error("AccessDenied", 403):
        mine.create_user(UserName=f"{name}-free")
    mine.create_user(UserName=f"{name}-held", PermissionsBoundary=limit)
    with s3_error("NoSuchEntity", 404):
        iam.get_user(UserName=f"{name}-free")


def test_accounts_do_not_see_each_other(cairn, iam, alice):
    name, _ = alice
    made = cairn.admin_json("account", "create", "tenant")
    key = made["key"]
    tenant = client_of(cairn, "iam", key["access_key"], key["secret_key"])
    account = made["account"].get("id") or made["account"]["account"]["id"]
    assert tenant.get_user()["User"]["Arn"] == f"arn:aws:iam::{account}:root"
    assert tenant.list_users()["Users"] == []
    for call in (
        lambda: tenant.get_user(UserName=name),
        lambda: tenant.delete_user(UserName=name),
        lambda: tenant.create_access_key(UserName=name),
        lambda: tenant.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=ALL_S3),
        lambda: tenant.get_policy(PolicyArn=policy_arn(iam, f"{name}-p", ALL_S3)),
    ):
        with s3_error("NoSuchEntity", 404):
            call()
    tenant.create_user(UserName=name)
    assert iam.get_user(UserName=name)["User"]["Arn"] != tenant.get_user(UserName=name)["User"]["Arn"]
    tenant.delete_user(UserName=name)
    assert iam.get_user(UserName=name)


# The protocol.


def form(cairn, body, **headers):
    headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    return requests.post(cairn.gateways[0].url + "/", data=body, headers=headers, timeout=30)


def test_unsigned_and_wrongly_signed_requests_are_refused(cairn, iam, alice):
    answer = form(cairn, "Action=ListUsers&Version=2010-05-08")
    assert answer.status_code == 403
    assert answer.text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">')
    assert "<Code>MissingAuthenticationToken</Code>" in answer.text
    name, (access_key, _) = alice
    with s3_error("SignatureDoesNotMatch", 403):
        client_of(cairn, "iam", access_key, "wrong").list_users()
    with s3_error("InvalidClientTokenId", 403):
        client_of(cairn, "iam", "AKIAAAAAAAAAAAAAAAAA", "wrong").list_users()


def test_actions_and_versions_that_do_not_exist(cairn):
    session = boto3.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    def send(body, method="POST", query=""):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        request = AWSRequest(method, cairn.gateways[0].url + "/" + query, headers=headers, data=body)
        SigV4Auth(session.get_credentials(), "iam", REGION).add_auth(request)
        prepared = request.prepare()
        return requests.request(
            method, prepared.url, data=prepared.body, headers=dict(prepared.headers), timeout=30
        )

    for body, code in (
        ("Action=Nonsense&Version=2010-05-08", "InvalidAction"),
        ("Action=ListUsers&Version=2011-06-15", "InvalidAction"),
        ("Version=2010-05-08", "MissingAction"),
        ("Action=ListUsers&Action=ListUsers&Version=2010-05-08", "MalformedQueryString"),
    ):
        answer = send(body)
        assert (answer.status_code, f"<Code>{code}</Code>" in answer.text) == (400, True), answer.text
    by_query = send("", "GET", "?Action=ListUsers&Version=2010-05-08")
    assert by_query.status_code == 200 and "<ListUsersResult>" in by_query.text
    assert f"<RequestId>{by_query.headers['x-amzn-requestid']}</RequestId>" in by_query.text
    too_long = send("Action=ListUsers&Version=2010-05-08&PathPrefix=/" + "x" * (512 << 10))
    assert too_long.status_code == 413, too_long.text


def test_s3_keeps_its_errors_on_the_same_path(cairn):
    answer = requests.post(cairn.gateways[0].url + "/", data=b"x", timeout=30)
    assert answer.status_code == 405 and "<Error><Code>MethodNotAllowed</Code>" in answer.text
    answer = requests.get(cairn.gateways[0].url + "/", timeout=30)
    assert answer.status_code == 403 and "<Error><Code>AccessDenied</Code>" in answer.text


# aws-cli.


def test_aws_cli_makes_a_user_for_one_bucket(cairn, iam, name, tmp_path):
    aws = tools.aws_cli(cairn.gateways[0].url, tmp_path)
    aws.run("s3", "mb", f"s3://{name}")
    aws.run("iam", "create-user", "--user-name", name)
    key = json.loads(aws.run("iam", "create-access-key", "--user-name", name, "--output", "json").stdout)["AccessKey"]
    text = document("s3:*", [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"])
    (tmp_path / "policy.json").write_text(text)
    aws.run("iam", "put-user-policy", "--user-name", name, "--policy-name", "bucket", "--policy-document", "file://policy.json")
    s3 = s3_client(cairn.gateways[0].url, key["AccessKeyId"], key["SecretAccessKey"])
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=name)["Contents"]] == ["k"]
    failed = aws.run("iam", "delete-user", "--user-name", name, check=False)
    assert failed.returncode != 0 and b"DeleteConflict" in failed.stderr


def test_the_commands_see_what_the_api_made(cairn, iam, alice):
    name, _ = alice
    done = run_cairn(["admin", "user", "show", name, "--metanode", cairn.metanode.url], cairn.secret)
    assert done.returncode == 0 and name in done.stdout
