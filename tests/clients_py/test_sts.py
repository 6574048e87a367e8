"""STS: who the sender is, sessions of roles and users, and sign-in with tokens of an OpenID Connect provider of the test's own.

Sources: STS API Reference; IAM User Guide, "Temporary security credentials in IAM" and "Available keys for AWS OIDC federation"."""

import base64
import datetime
import http.server
import itertools
import json
import subprocess
import threading
import time

import boto3
import harness
import pytest
import requests
import tools
from botocore import UNSIGNED
from botocore.config import Config
from errors import outcome, s3_error
from harness import ACCESS_KEY, REGION, SECRET_KEY

_numbers = itertools.count()

ACCOUNT = "000000000000"
ONE_TRY = {"retries": {"total_max_attempts": 1}}


@pytest.fixture(scope="module")
def cairn(tmp_path_factory):
    store = harness.start_cluster(tmp_path_factory.mktemp("sts"), datanodes=1)
    yield store
    store.stop()


def client_of(cairn, service, access_key=ACCESS_KEY, secret_key=SECRET_KEY, token=None, **config):
    return boto3.client(
        service,
        endpoint_url=cairn.gateways[0].url,
        region_name=REGION,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        aws_session_token=token,
        config=Config(**ONE_TRY, **config),
    )


def of_session(cairn, service, answer, **config):
    credentials = answer["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA")
    return client_of(
        cairn,
        service,
        credentials["AccessKeyId"],
        credentials["SecretAccessKey"],
        credentials["SessionToken"],
        **config,
    )


@pytest.fixture
def iam(cairn):
    return client_of(cairn, "iam")


@pytest.fixture
def name():
    return f"sts-{next(_numbers)}"


@pytest.fixture
def bucket(cairn, name):
    cairn.client().create_bucket(Bucket=name)
    cairn.client().put_object(Bucket=name, Key="k", Body=b"body")
    return name


def document(action, resource="*", effect="Allow", **more):
    statement = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trust(principal, action="sts:AssumeRole", effect="Allow", **more):
    statement = {"Effect": effect, "Principal": principal, "Action": action, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


ALL_S3 = document("s3:*")
READ_S3 = document(["s3:GetObject", "s3:ListBucket"])


class User:
    def __init__(self, cairn, iam, name):
        self.name = name
        self.arn = iam.create_user(UserName=name)["User"]["Arn"]
        key = iam.create_access_key(UserName=name)["AccessKey"]
        self.key = key["AccessKeyId"], key["SecretAccessKey"]
        self.sts = client_of(cairn, "sts", *self.key)


@pytest.fixture
def user(cairn, iam, name):
    return User(cairn, iam, f"user-{name}")


@pytest.fixture
def role(iam, user, name):
    """A role that may do all with S3, and that the user may assume."""
    made = iam.create_role(RoleName=f"role-{name}", Path="/r/", AssumeRolePolicyDocument=trust({"AWS": user.arn}))["Role"]
    iam.put_role_policy(RoleName=made["RoleName"], PolicyName="all", PolicyDocument=ALL_S3)
    return made


def assume(sts, role, session="session-1", **more):
    return sts.assume_role(RoleArn=role["Arn"], RoleSessionName=session, **more)


# Who the sender is.


def test_caller_identity_of_root_user_and_session(cairn, user, role):
    root = client_of(cairn, "sts").get_caller_identity()
    assert (root["Account"], root["Arn"], root["UserId"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
    me = user.sts.get_caller_identity()
    assert me["Arn"] == user.arn and me["UserId"].startswith("AIDA")
    answer = assume(user.sts, role)
    session = of_session(cairn, "sts", answer).get_caller_identity()
    assert session["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{role['RoleName']}/session-1"
    assert session["UserId"] == f"{role['RoleId']}:session-1"
    assert answer["AssumedRoleUser"] == {"AssumedRoleId": session["UserId"], "Arn": session["Arn"]}


def test_no_policy_can_deny_caller_identity(iam, user):
    iam.put_user_policy(UserName=user.name, PolicyName="no", PolicyDocument=document("*", effect="Deny"))
    assert user.sts.get_caller_identity()["Arn"] == user.arn


# Sessions of roles.


def test_a_session_may_do_what_its_role_may(cairn, iam, user, role, bucket):
    answer = assume(user.sts, role, DurationSeconds=900)
    left = answer["Credentials"]["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
    assert 800 < left.total_seconds() < 905
    s3 = of_session(cairn, "s3", answer)
    s3.put_object(Bucket=bucket, Key="new", Body=b"x")
    assert s3.get_object(Bucket=bucket, Key="new")["Body"].read() == b"x"
    # Its policies are those of the role now.
    iam.put_role_policy(RoleName=role["RoleName"], PolicyName="all", PolicyDocument=READ_S3)
    assert outcome(s3.put_object, Bucket=bucket, Key="new", Body=b"y") == "AccessDenied"
    assert s3.get_object(Bucket=bucket, Key="new")["Body"].read() == b"x"
    with s3_error("AccessDenied", 403):
        of_session(cairn, "iam", answer).list_users()


def test_session_policies_limit_the_role(cairn, iam, user, role, bucket):
    read = iam.create_policy(PolicyName=f"read-{bucket}", PolicyDocument=READ_S3)["Policy"]["Arn"]
    for passed in ({"Policy": READ_S3}, {"PolicyArns": [{"arn": read}]}):
        s3 = of_session(cairn, "s3", assume(user.sts, role, **passed))
        s3.get_object(Bucket=bucket, Key="k")
        assert outcome(s3.put_object, Bucket=bucket, Key="k", Body=b"x") == "AccessDenied"
    other = document("s3:GetObject", f"arn:aws:s3:::{bucket}/other")
    s3 = of_session(cairn, "s3", assume(user.sts, role, Policy=other))
    assert outcome(s3.get_object, Bucket=bucket, Key="k") == "AccessDenied"
    wide = of_session(cairn, "iam", assume(user.sts, role, Policy=document("*")))
    assert outcome(wide.list_users) == "AccessDenied", "a session policy gives nothing"


def test_a_boundary_limits_the_role(cairn, iam, user, role, bucket):
    limit = iam.create_policy(PolicyName=f"limit-{bucket}", PolicyDocument=READ_S3)["Policy"]["Arn"]
    iam.put_role_permissions_boundary(RoleName=role["RoleName"], PermissionsBoundary=limit)
    s3 = of_session(cairn, "s3", assume(user.sts, role))
    s3.get_object(Bucket=bucket, Key="k")
    assert outcome(s3.put_object, Bucket=bucket, Key="k", Body=b"x") == "AccessDenied"


def test_deleting_the_role_ends_its_sessions(cairn, iam, user, role, bucket):
    s3 = of_session(cairn, "s3", assume(user.sts, role))
    s3.get_object(Bucket=bucket, Key="k")
    iam.delete_role_policy(RoleName=role["RoleName"], PolicyName="all")
    iam.delete_role(RoleName=role["RoleName"])
    assert outcome(s3.get_object, Bucket=bucket, Key="k") == "InvalidToken"
    # A new role of the same name is another one.
    iam.create_role(RoleName=role["RoleName"], Path="/r/", AssumeRolePolicyDocument=trust({"AWS": user.arn}))
    iam.put_role_policy(RoleName=role["RoleName"], PolicyName="all", PolicyDocument=ALL_S3)
    assert outcome(s3.get_object, Bucket=bucket, Key="k") == "InvalidToken"


def test_a_url_that_a_session_presigns(cairn, user, role, bucket):
    s3 = of_session(cairn, "s3", assume(user.sts, role), signature_version="s3v4")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=60)
    assert "X-Amz-Security-Token=" in url
    assert requests.get(url, timeout=30).content == b"body"
    start = url.index("X-Amz-Security-Token=")
    stripped = url[:start] + url[url.index("&", start) + 1 :]
    refused = requests.get(stripped, timeout=30)
    assert refused.status_code == 403 and "<Code>InvalidAccessKeyId</Code>" in refused.text


def test_tokens_that_are_tampered_with_or_of_another_session(cairn, user, role, bucket):
    one = assume(user.sts, role)["Credentials"]
    two = assume(user.sts, role)["Credentials"]

    def code(service, access_key, secret_key, token):
        client = client_of(cairn, service, access_key, secret_key, token)
        call = client.list_buckets if service == "s3" else client.get_caller_identity
        return outcome(call)

    good = (one["AccessKeyId"], one["SecretAccessKey"])
    token = one["SessionToken"]
    flipped = token[:50] + ("A" if token[50] != "A" else "B") + token[51:]
    for service, invalid, unknown in (
        ("s3", "InvalidToken", "InvalidAccessKeyId"),
        ("sts", "InvalidClientTokenId", "InvalidClientTokenId"),
    ):
        assert code(service, *good, token) == "ok"
        assert code(service, *good, flipped) == invalid
        assert code(service, *good, token[:-4]) == invalid
        assert code(service, *good, "nonsense") == invalid
        assert code(service, *good, two["SessionToken"]) == invalid
        assert code(service, *good, None) == unknown
        assert code(service, ACCESS_KEY, SECRET_KEY, token) == invalid, "a long-term key has no token"
        assert code(service, one["AccessKeyId"], two["SecretAccessKey"], token) == "SignatureDoesNotMatch"


# Who may assume a role.


def test_a_trust_policy_that_names_the_account_leaves_it_to_the_users_policies(cairn, iam, user, name):
    made = iam.create_role(RoleName=f"of-account-{name}", AssumeRolePolicyDocument=trust({"AWS": ACCOUNT}))["Role"]
    with s3_error("AccessDenied", 403):
        assume(user.sts, made)
    iam.put_user_policy(
        UserName=user.name, PolicyName="assume", PolicyDocument=document("sts:AssumeRole", made["Arn"])
    )
    assume(user.sts, made)
    iam.put_user_policy(
        UserName=user.name, PolicyName="no", PolicyDocument=document("sts:AssumeRole", made["Arn"], effect="Deny")
    )
    with s3_error("AccessDenied", 403):
        assume(user.sts, made)


def test_no_policy_of_a_user_takes_the_place_of_the_trust_policy(cairn, iam, user, name):
    other = User(cairn, iam, f"other-{name}")
    made = iam.create_role(RoleName=f"others-{name}", AssumeRolePolicyDocument=trust({"AWS": other.arn}))["Role"]
    iam.put_user_policy(UserName=user.name, PolicyName="all", PolicyDocument=document("*"))
    with s3_error("AccessDenied", 403):
        assume(user.sts, made)
    assume(other.sts, made)


def test_an_explicit_deny_of_the_trust_policy_wins(iam, user, role):
    denying = json.loads(trust({"AWS": user.arn}))
    denying["Statement"].append({"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"})
    iam.update_assume_role_policy(RoleName=role["RoleName"], PolicyDocument=json.dumps(denying))
    with s3_error("AccessDenied", 403):
        assume(user.sts, role)


def test_an_external_id_is_a_condition(iam, user, role):
    condition = {"StringEquals": {"sts:ExternalId": "ticket-7"}}
    iam.update_assume_role_policy(
        RoleName=role["RoleName"], PolicyDocument=trust({"AWS": user.arn}, Condition=condition)
    )
    for wrong in ({}, {"ExternalId": "ticket-8"}):
        with s3_error("AccessDenied", 403):
            assume(user.sts, role, **wrong)
    assume(user.sts, role, ExternalId="ticket-7")


def test_a_trust_policy_with_a_condition_that_no_request_has_trusts_nobody(iam, user, role):
    condition = {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}
    iam.update_assume_role_policy(
        RoleName=role["RoleName"], PolicyDocument=trust({"AWS": user.arn}, Condition=condition)
    )
    with s3_error("AccessDenied", 403):
        assume(user.sts, role)


def test_roles_that_do_not_exist_and_roots(cairn, user, role):
    with s3_error("AccessDenied", 403):
        user.sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/none", RoleSessionName="ss")
    with s3_error("AccessDenied", 403):
        user.sts.assume_role(RoleArn=role["Arn"].replace("/r/", "/"), RoleSessionName="ss")
    with s3_error("AccessDenied", 403):
        assume(client_of(cairn, "sts"), role)


def test_a_user_of_another_account_needs_both_accounts(cairn, iam, name):
    tenant = cairn.admin_json("account", "create", f"tenant-{name}")["key"]
    theirs = client_of(cairn, "iam", tenant["access_key"], tenant["secret_key"])
    foreign = User(cairn, theirs, "foreign")
    made = iam.create_role(RoleName=f"across-{name}", AssumeRolePolicyDocument=trust({"AWS": foreign.arn}))["Role"]
    with s3_error("AccessDenied", 403):
        assume(foreign.sts, made)
    theirs.put_user_policy(
        UserName="foreign", PolicyName="assume", PolicyDocument=document("sts:AssumeRole", made["Arn"])
    )
    session = of_session(cairn, "sts", assume(foreign.sts, made)).get_caller_identity()
    assert session["Account"] == ACCOUNT


def test_a_session_assumes_another_role_for_an_hour(cairn, iam, user, role, name):
    session_arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role['RoleName']}/session-1"
    made = iam.create_role(
        RoleName=f"next-{name}", AssumeRolePolicyDocument=trust({"AWS": session_arn}), MaxSessionDuration=7200
    )["Role"]
    sts = of_session(cairn, "sts", assume(user.sts, role))
    with s3_error("ValidationError", 400):
        assume(sts, made, DurationSeconds=7200)
    assert of_session(cairn, "sts", assume(sts, made)).get_caller_identity()["Arn"].endswith(f"/next-{name}/session-1")


BAD_SESSIONS = {
    "899 seconds": ("ValidationError", {"DurationSeconds": 899}),
    "more than the role allows": ("ValidationError", {"DurationSeconds": 3601}),
    "no JSON": ("MalformedPolicyDocument", {"Policy": "{"}),
    "a policy that does not exist": (
        "MalformedPolicyDocument",
        {"PolicyArns": [{"arn": f"arn:aws:iam::{ACCOUNT}:policy/none"}]},
    ),
    "too much policy": ("PackedPolicyTooLarge", {"Policy": document("s3:*", ["arn:aws:s3:::" + "b" * 60] * 40)}),
    "tags": ("ValidationError", {"Tags": [{"Key": "a", "Value": "b"}]}),
    "a name with a space": ("ValidationError", {"session": "a b"}),
    "a short name": ("ValidationError", {"session": "a"}),
    "an external id with a space": ("ValidationError", {"ExternalId": "a b"}),
}


@pytest.mark.parametrize("case", BAD_SESSIONS)
def test_bad_input_opens_no_session(cairn, user, role, case):
    code, parameters = BAD_SESSIONS[case]
    sts = boto3.client(
        "sts",
        endpoint_url=cairn.gateways[0].url,
        region_name=REGION,
        aws_access_key_id=user.key[0],
        aws_secret_access_key=user.key[1],
        config=Config(parameter_validation=False, **ONE_TRY),
    )
    with s3_error(code, 400):
        assume(sts, role, **parameters)


# Sessions of users.


def test_a_users_session_may_do_what_the_user_may(cairn, iam, user, bucket):
    iam.put_user_policy(UserName=user.name, PolicyName="read", PolicyDocument=READ_S3)
    answer = user.sts.get_session_token(DurationSeconds=900)
    s3 = of_session(cairn, "s3", answer)
    s3.get_object(Bucket=bucket, Key="k")
    assert outcome(s3.put_object, Bucket=bucket, Key="k", Body=b"x") == "AccessDenied"
    sts = of_session(cairn, "sts", answer)
    assert sts.get_caller_identity()["Arn"] == user.arn
    with s3_error("AccessDenied", 403):
        sts.get_session_token()
    with s3_error("InvalidClientTokenId", 403):
        of_session(cairn, "iam", answer).get_user()
    with s3_error("ValidationError", 400):
        user.sts.get_session_token(DurationSeconds=129601)
    # The key may go; the session is the user's.
    iam.delete_access_key(UserName=user.name, AccessKeyId=user.key[0])
    s3.get_object(Bucket=bucket, Key="k")
    iam.delete_user_policy(UserName=user.name, PolicyName="read")
    iam.delete_user(UserName=user.name)
    assert outcome(s3.get_object, Bucket=bucket, Key="k") == "InvalidToken"


def test_a_session_of_root_lasts_an_hour(cairn, bucket):
    answer = client_of(cairn, "sts").get_session_token(DurationSeconds=129600)
    left = answer["Credentials"]["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
    assert left.total_seconds() <= 3600
    of_session(cairn, "s3", answer).put_object(Bucket=bucket, Key="root", Body=b"x")


def test_key_info_and_messages_that_cannot_be_decoded(cairn, user):
    sts = client_of(cairn, "sts")
    assert sts.get_access_key_info(AccessKeyId=user.key[0])["Account"] == ACCOUNT
    with s3_error("InvalidAuthorizationMessageException", 400):
        sts.decode_authorization_message(EncodedMessage="x")


def test_aws_cli_works_with_a_session(cairn, user, role, bucket, tmp_path):
    credentials = assume(user.sts, role)["Credentials"]
    aws = tools.aws_cli(cairn.gateways[0].url, tmp_path)
    aws.env.update(
        AWS_ACCESS_KEY_ID=credentials["AccessKeyId"],
        AWS_SECRET_ACCESS_KEY=credentials["SecretAccessKey"],
        AWS_SESSION_TOKEN=credentials["SessionToken"],
    )
    (tmp_path / "file").write_bytes(b"x")
    aws.run("s3", "cp", "file", f"s3://{bucket}/from-cli")
    shown = json.loads(aws.run("sts", "get-caller-identity", "--output", "json").stdout)
    assert shown["Arn"].endswith("/session-1")


# Sign-in with tokens of an OpenID Connect provider.


def text_of(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Provider:
    """A provider on this machine, with RSA keys of its own made by openssl."""

    def __init__(self, directory):
        self.directory = directory
        self.keys = {}
        self.fetches = []
        self.documents = {}
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                provider.fetches.append(self.path)
                status, headers, body = provider.answer(self.path)
                self.send_response(status)
                for header in headers.items():
                    self.send_header(*header)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.issuer = self.url.removeprefix("http://")
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.add_key("one")

    def answer(self, path):
        if path in self.documents:
            return self.documents[path]
        if path == "/.well-known/openid-configuration":
            document = {"issuer": self.url, "jwks_uri": self.url + "/keys"}
        elif path == "/keys":
            document = {"keys": [self.public(kid) for kid in self.keys]}
        else:
            return 404, {}, b""
        return 200, {"Content-Type": "application/json"}, json.dumps(document).encode()

    def add_key(self, kid):
        file = self.directory / f"{kid}.pem"
        subprocess.run(["openssl", "genrsa", "-out", str(file), "2048"], check=True, capture_output=True)
        self.keys[kid] = file

    def public(self, kid):
        shown = subprocess.run(
            ["openssl", "rsa", "-in", str(self.keys[kid]), "-noout", "-modulus"], check=True, capture_output=True
        )
        modulus = bytes.fromhex(shown.stdout.decode().strip().split("=")[1])
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": text_of(modulus), "e": "AQAB"}

    def token(self, kid="one", header=None, signer=None, **claims):
        now = int(time.time())
        claims = {"iss": self.url, "sub": "job-1", "aud": "cairn", "iat": now, "exp": now + 300} | claims
        head = {"alg": "RS256", "typ": "JWT", "kid": kid} | (header or {})
        message = ".".join(text_of(json.dumps(part).encode()) for part in (head, claims))
        signed = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self.keys[signer or kid])],
            input=message.encode(),
            check=True,
            capture_output=True,
        )
        return f"{message}.{text_of(signed.stdout)}"

    def stop(self):
        self.server.shutdown()


@pytest.fixture
def provider(tmp_path):
    provider = Provider(tmp_path)
    yield provider
    provider.stop()


@pytest.fixture
def web_role(iam, provider, name):
    """A role that tokens of the provider may assume, if they are about a job."""
    arn = iam.create_open_id_connect_provider(Url=provider.url, ClientIDList=["cairn"])["OpenIDConnectProviderArn"]
    conditions = {
        "StringEquals": {f"{provider.issuer}:aud": "cairn"},
        "StringLike": {f"{provider.issuer}:sub": "job-*"},
    }
    policy = trust({"Federated": arn}, "sts:AssumeRoleWithWebIdentity", Condition=conditions)
    made = iam.create_role(RoleName=f"web-{name}", AssumeRolePolicyDocument=policy)["Role"]
    iam.put_role_policy(RoleName=made["RoleName"], PolicyName="all", PolicyDocument=ALL_S3)
    return made


@pytest.fixture
def anonymous(cairn):
    return boto3.client(
        "sts",
        endpoint_url=cairn.gateways[0].url,
        region_name=REGION,
        config=Config(signature_version=UNSIGNED, **ONE_TRY),
    )


def sign_in(sts, role, token, **more):
    return sts.assume_role_with_web_identity(
        RoleArn=role["Arn"], RoleSessionName="job", WebIdentityToken=token, **more
    )


def test_a_token_opens_a_session(cairn, anonymous, provider, web_role, bucket):
    answer = sign_in(anonymous, web_role, provider.token(), DurationSeconds=900)
    assert (answer["SubjectFromWebIdentityToken"], answer["Audience"], answer["Provider"]) == (
        "job-1",
        "cairn",
        provider.url,
    )
    s3 = of_session(cairn, "s3", answer)
    s3.put_object(Bucket=bucket, Key="by-token", Body=b"x")
    identity = of_session(cairn, "sts", answer).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{web_role['RoleName']}/job"
    limited = of_session(cairn, "s3", sign_in(anonymous, web_role, provider.token(), Policy=READ_S3))
    assert outcome(limited.put_object, Bucket=bucket, Key="k", Body=b"x") == "AccessDenied"
    assert provider.fetches == ["/.well-known/openid-configuration", "/keys"], "keys are fetched once"


def test_tokens_that_are_refused(anonymous, provider, web_role):
    now = int(time.time())
    token = provider.token()
    head, claims, signature = token.split(".")
    forged = text_of(json.dumps({"iss": provider.url, "sub": "job-2", "aud": "cairn", "exp": now + 300}).encode())
    none = text_of(json.dumps({"alg": "none"}).encode())
    provider.add_key("stranger")
    stranger = provider.token(kid="one", signer="stranger")
    del provider.keys["stranger"]
    for wrong, code, status in (
        ("no token", "InvalidIdentityToken", 400),
        (f"{head}.{forged}.{signature}", "InvalidIdentityToken", 400),
        (f"{none}.{claims}.", "InvalidIdentityToken", 400),
        (provider.token(header={"alg": "HS256"}), "InvalidIdentityToken", 400),
        (stranger, "InvalidIdentityToken", 400),
        (provider.token(aud="another"), "InvalidIdentityToken", 400),
        (provider.token(iss="https://another.example.com"), "InvalidIdentityToken", 400),
        (provider.token(exp=now - 120), "ExpiredTokenException", 400),
        (provider.token(nbf=now + 600), "IDPRejectedClaim", 403),
        (provider.token(iat=now + 600), "IDPRejectedClaim", 403),
        (provider.token(sub="person-1"), "AccessDenied", 403),
    ):
        with s3_error(code, status):
            sign_in(anonymous, web_role, wrong)
    sign_in(anonymous, web_role, token)


def test_a_role_for_users_cannot_be_assumed_with_a_token(iam, anonymous, provider, web_role, role):
    with s3_error("AccessDenied", 403):
        sign_in(anonymous, role, provider.token())
    with s3_error("AccessDenied", 403):
        sign_in(anonymous, {"Arn": f"arn:aws:iam::{ACCOUNT}:role/none"}, provider.token())


def test_a_provider_that_does_not_answer_as_it_should(iam, anonymous, provider, web_role):
    elsewhere = {"issuer": provider.url + "/other", "jwks_uri": provider.url + "/keys"}
    provider.documents["/.well-known/openid-configuration"] = (200, {}, json.dumps(elsewhere).encode())
    with s3_error("IDPCommunicationError", 400):
        sign_in(anonymous, web_role, provider.token())
    assert provider.fetches == ["/.well-known/openid-configuration"], "the keys of another issuer are not asked for"


def test_redirects_and_large_documents_are_not_followed(iam, anonymous, provider, web_role):
    target = provider.url + "/elsewhere"
    provider.documents["/.well-known/openid-configuration"] = (302, {"Location": target}, b"")
    with s3_error("IDPCommunicationError", 400):
        sign_in(anonymous, web_role, provider.token())
    assert "/elsewhere" not in provider.fetches


def test_unsigned_requests_can_do_nothing_else(cairn, provider):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for action in ("GetCallerIdentity", "AssumeRole", "GetSessionToken"):
        body = f"Action={action}&Version=2011-06-15"
        answer = requests.post(cairn.gateways[0].url + "/", data=body, headers=headers, timeout=30)
        assert (answer.status_code, "<Code>MissingAuthenticationToken</Code>" in answer.text) == (403, True), answer.text
    long = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&WebIdentityToken=" + "x" * (96 << 10)
    assert requests.post(cairn.gateways[0].url + "/", data=long, headers=headers, timeout=30).status_code == 413


def test_aws_cli_signs_in_with_a_token_by_itself(cairn, provider, web_role, bucket, tmp_path):
    """What docs/access.md says: a role and a file with a token are all that SDKs need."""
    aws = tools.aws_cli(cairn.gateways[0].url, tmp_path)
    del aws.env["AWS_ACCESS_KEY_ID"], aws.env["AWS_SECRET_ACCESS_KEY"]
    (tmp_path / "token").write_text(provider.token())
    aws.env.update(
        AWS_ENDPOINT_URL=cairn.gateways[0].url,
        AWS_ROLE_ARN=web_role["Arn"],
        AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "token"),
        AWS_CONFIG_FILE=str(tmp_path / "none"),
        AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "none"),
    )
    (tmp_path / "file").write_bytes(b"x")
    aws.run("s3", "cp", "file", f"s3://{bucket}/signed-in")
    assert cairn.client().head_object(Bucket=bucket, Key="signed-in")["ContentLength"] == 1


def test_tags_of_the_sender_count_at_once_in_conditions_and_as_variables(cairn, iam, user, role, bucket):
    """Users, their sessions, and sessions of roles have the tags of the user or role."""
    known = {"StringEquals": {"aws:PrincipalTag/team": ["blue", "red"]}}
    policy = document("s3:PutObject", f"arn:aws:s3:::{bucket}/${{aws:PrincipalTag/team}}", Condition=known)
    iam.put_user_policy(UserName=user.name, PolicyName="tags", PolicyDocument=policy)
    iam.put_role_policy(RoleName=role["RoleName"], PolicyName="all", PolicyDocument=policy)
    senders = [
        client_of(cairn, "s3", *user.key),
        of_session(cairn, "s3", user.sts.get_session_token()),
        of_session(cairn, "s3", assume(user.sts, role)),
    ]

    def put(key):
        return [outcome(sender.put_object, Bucket=bucket, Key=key) for sender in senders]

    def tag(team):
        tags = [{"Key": "team", "Value": team}]
        iam.tag_user(UserName=user.name, Tags=tags)
        iam.tag_role(RoleName=role["RoleName"], Tags=tags)

    assert put("blue") == ["AccessDenied"] * 3
    tag("blue")
    assert (put("blue"), put("red")) == (["ok"] * 3, ["AccessDenied"] * 3)
    tag("red")
    assert (put("blue"), put("red")) == (["AccessDenied"] * 3, ["ok"] * 3)
    iam.untag_user(UserName=user.name, TagKeys=["team"])
    assert put("red") == ["AccessDenied", "AccessDenied", "ok"]


def test_without_mfa_devices_only_sessions_say_that_there_was_no_mfa(cairn, iam, user, bucket):
    """IAM User Guide, `aws:MultiFactorAuthPresent`: requests with long-term credentials do not have the key."""
    iam.put_user_policy(UserName=user.name, PolicyName="all", PolicyDocument=ALL_S3)
    senders = [client_of(cairn, "s3", *user.key), of_session(cairn, "s3", user.sts.get_session_token())]
    for operator, expected in [("Bool", ["ok", "AccessDenied"]), ("BoolIfExists", ["AccessDenied", "AccessDenied"])]:
        condition = {operator: {"aws:MultiFactorAuthPresent": "false"}}
        deny = document("s3:GetObject", effect="Deny", Condition=condition)
        iam.put_user_policy(UserName=user.name, PolicyName="mfa", PolicyDocument=deny)
        assert [outcome(sender.get_object, Bucket=bucket, Key="k") for sender in senders] == expected, operator
