"""Object Lock, by boto3, aws-cli and restic. Source: Amazon S3 User Guide, "Locking objects with Object Lock", and the API reference
of each operation."""

import datetime
import itertools
import json

import pytest
import requests
import tools
from data import some_bytes
from errors import outcome, s3_error
from harness import REGION, s3_client
from test_users import Users, allow

_numbers = itertools.count()
DENIED = ("AccessDenied", "403")


def later(**delta):
    """A date in the future, without a fraction of a second, as clients send it."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(**delta)


@pytest.fixture
def locked(s3):
    """An empty bucket with Object Lock."""
    name = f"locked-{next(_numbers)}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def put(s3, bucket, key="k", **lock):
    return s3.put_object(Bucket=bucket, Key=key, Body=b"body", **lock)["VersionId"]


def retained(mode, until):
    return {"ObjectLockMode": mode, "ObjectLockRetainUntilDate": until}


def is_there(s3, bucket, version, key="k"):
    return outcome(s3.get_object, Bucket=bucket, Key=key, VersionId=version) == "ok"


def refused(call, code, status, message, **arguments):
    """Asserts the error of a call, with AWS's words."""
    with pytest.raises(Exception) as raised:
        call(**arguments)
    error = raised.value.response
    got = (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Message"])
    assert got == (code, status, message)


PROTECTED = ("AccessDenied", 403, "Access Denied because object protected by object lock.")
MISSING = ("InvalidRequest", 400, "Bucket is missing Object Lock Configuration")


def test_a_new_bucket_with_object_lock_has_versioning_and_keeps_it(s3, locked):
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == {"ObjectLockEnabled": "Enabled"}
    refused(
        s3.put_bucket_versioning,
        "InvalidBucketState",
        409,
        "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
        Bucket=locked,
        VersioningConfiguration={"Status": "Suspended"},
    )
    s3.put_bucket_versioning(Bucket=locked, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"


def test_an_existing_bucket_with_versioning_gets_object_lock(s3, bucket):
    with s3_error("ObjectLockConfigurationNotFoundError", 404):
        s3.get_object_lock_configuration(Bucket=bucket)
    wanted = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Years": 1}}}
    refused(
        s3.put_object_lock_configuration,
        "InvalidBucketState",
        409,
        "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        Bucket=bucket,
        ObjectLockConfiguration=wanted,
    )
    with s3_error("ObjectLockConfigurationNotFoundError", 404):
        s3.get_object_lock_configuration(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=wanted)
    assert s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"] == wanted
    with s3_error("NoSuchBucket", 404):
        s3.put_object_lock_configuration(Bucket="no-such-bucket-here", ObjectLockConfiguration=wanted)


@pytest.mark.parametrize(
    ("configuration", "code"),
    [
        ({"ObjectLockEnabled": "Disabled"}, "MalformedXML"),
        ({"Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}, "MalformedXML"),
        ({"ObjectLockEnabled": "Enabled", "Rule": {}}, "MalformedXML"),
        ({"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Days": 1}}}, "MalformedXML"),
        ({"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE"}}}, "MalformedXML"),
        (
            {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1, "Years": 1}}},
            "MalformedXML",
        ),
        ({"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "FOREVER", "Days": 1}}}, "MalformedXML"),
        ({"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 0}}}, "InvalidArgument"),
        (
            {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 36501}}},
            "InvalidArgument",
        ),
        (
            {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Years": 101}}},
            "InvalidArgument",
        ),
    ],
)
def test_a_wrong_configuration_leaves_no_trace(s3, locked, configuration, code):
    with s3_error(code, 400):
        s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=configuration)
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == {"ObjectLockEnabled": "Enabled"}


def test_compliance_is_not_shortened_removed_or_bypassed_and_governance_is(s3, locked):
    until = later(days=2)
    compliance = put(s3, locked, **retained("COMPLIANCE", until))
    governance = put(s3, locked, **retained("GOVERNANCE", until))
    for version in (compliance, governance):
        named = {"Bucket": locked, "Key": "k", "VersionId": version}
        refused(s3.delete_object, *PROTECTED, **named)
        sooner = {"Mode": s3.get_object_retention(**named)["Retention"]["Mode"], "RetainUntilDate": later(days=1)}
        refused(s3.put_object_retention, *PROTECTED, **named, Retention=sooner)
        refused(s3.put_object_retention, *PROTECTED, **named, Retention={})
        assert s3.get_object_retention(**named)["Retention"]["RetainUntilDate"] == until
        extended = {**sooner, "RetainUntilDate": later(days=3)}
        s3.put_object_retention(**named, Retention=extended)
        assert s3.get_object_retention(**named)["Retention"] == extended

    named = {"Bucket": locked, "Key": "k", "VersionId": compliance, "BypassGovernanceRetention": True}
    refused(s3.delete_object, *PROTECTED, **named)
    refused(s3.put_object_retention, *PROTECTED, **named, Retention={})
    sooner = {"Mode": "COMPLIANCE", "RetainUntilDate": later(days=1)}
    refused(s3.put_object_retention, *PROTECTED, **named, Retention=sooner)
    assert is_there(s3, locked, compliance)

    named["VersionId"] = governance
    s3.put_object_retention(**named, Retention={**sooner, "Mode": "GOVERNANCE"})
    s3.put_object_retention(**named, Retention={})
    with s3_error("NoSuchObjectLockConfiguration", 404):
        s3.get_object_retention(Bucket=locked, Key="k", VersionId=governance)
    s3.delete_object(Bucket=locked, Key="k", VersionId=governance)
    assert not is_there(s3, locked, governance)


def test_a_governance_lock_is_bypassed_by_a_delete(s3, locked):
    version = put(s3, locked, **retained("GOVERNANCE", later(days=2)))
    s3.delete_object(Bucket=locked, Key="k", VersionId=version, BypassGovernanceRetention=True)
    assert not is_there(s3, locked, version)


def test_a_legal_hold_holds_until_it_is_off(s3, locked):
    version = put(s3, locked)
    named = {"Bucket": locked, "Key": "k", "VersionId": version}
    with s3_error("NoSuchObjectLockConfiguration", 404):
        s3.get_object_legal_hold(**named)
    assert "ObjectLockLegalHoldStatus" not in s3.head_object(**named)
    s3.put_object_legal_hold(**named, LegalHold={"Status": "ON"})
    assert s3.get_object_legal_hold(**named)["LegalHold"] == {"Status": "ON"}
    assert s3.head_object(**named)["ObjectLockLegalHoldStatus"] == "ON"
    refused(s3.delete_object, *PROTECTED, **named, BypassGovernanceRetention=True)
    with s3_error("MalformedXML", 400):
        s3.put_object_legal_hold(**named, LegalHold={"Status": "MAYBE"})
    s3.put_object_legal_hold(**named, LegalHold={"Status": "OFF"})
    assert s3.head_object(**named)["ObjectLockLegalHoldStatus"] == "OFF"
    s3.delete_object(**named)
    assert not is_there(s3, locked, version)


def test_a_delete_without_a_version_hides_a_locked_object_and_loses_nothing(s3, locked):
    version = put(s3, locked, **retained("COMPLIANCE", later(days=1)))
    marker = s3.delete_object(Bucket=locked, Key="k")
    assert marker["DeleteMarker"]
    with s3_error("NoSuchKey", 404):
        s3.get_object(Bucket=locked, Key="k")
    for call in (s3.get_object_retention, s3.get_object_legal_hold):
        with s3_error("MethodNotAllowed", 405):
            call(Bucket=locked, Key="k", VersionId=marker["VersionId"])
    with s3_error("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=locked)
    s3.delete_object(Bucket=locked, Key="k", VersionId=marker["VersionId"])
    assert s3.get_object(Bucket=locked, Key="k")["VersionId"] == version


def test_a_delete_of_many_refuses_the_locked_ones_alone(s3, locked):
    kept = [put(s3, locked, f"kept{n}", **retained("COMPLIANCE", later(days=1))) for n in range(3)]
    bypassed = put(s3, locked, "bypassed", **retained("GOVERNANCE", later(days=1)))
    free = put(s3, locked, "free")
    objects = [{"Key": f"kept{n}", "VersionId": version} for n, version in enumerate(kept)]
    objects += [{"Key": "bypassed", "VersionId": bypassed}, {"Key": "free", "VersionId": free}]
    answer = s3.delete_objects(Bucket=locked, Delete={"Objects": objects})
    assert {e["Key"] for e in answer["Errors"]} == {"kept0", "kept1", "kept2", "bypassed"}
    assert {(e["Code"], e["Message"]) for e in answer["Errors"]} == {(PROTECTED[0], PROTECTED[2])}
    assert [d["Key"] for d in answer["Deleted"]] == ["free"]
    answer = s3.delete_objects(Bucket=locked, Delete={"Objects": objects}, BypassGovernanceRetention=True)
    assert {d["Key"] for d in answer["Deleted"]} == {"bypassed", "free"}
    assert all(is_there(s3, locked, version, f"kept{n}") for n, version in enumerate(kept))


def test_the_default_retention_is_for_new_versions_of_every_kind(s3, locked):
    before = put(s3, locked)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=configuration)
    assert "ObjectLockMode" not in s3.head_object(Bucket=locked, Key="k", VersionId=before)
    own = later(days=9)
    made = {
        "put": put(s3, locked, "put"),
        "copy": s3.copy_object(Bucket=locked, Key="copy", CopySource=f"{locked}/k")["VersionId"],
        "own": put(s3, locked, "own", **retained("COMPLIANCE", own)),
        "held": put(s3, locked, "held", ObjectLockLegalHoldStatus="ON"),
    }
    upload = s3.create_multipart_upload(Bucket=locked, Key="joined")["UploadId"]
    part = s3.upload_part(Bucket=locked, Key="joined", UploadId=upload, PartNumber=1, Body=b"part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    done = s3.complete_multipart_upload(Bucket=locked, Key="joined", UploadId=upload, MultipartUpload=parts)
    made["joined"] = done["VersionId"]
    for key, version in made.items():
        head = s3.head_object(Bucket=locked, Key=key, VersionId=version)
        if key == "own":
            assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", own)
            continue
        assert head["ObjectLockMode"] == "GOVERNANCE", key
        counted = head["ObjectLockRetainUntilDate"] - head["LastModified"]
        assert datetime.timedelta(days=3) <= counted < datetime.timedelta(days=3, seconds=1), key
        assert head.get("ObjectLockLegalHoldStatus") == ("ON" if key == "held" else None)
        refused(s3.delete_object, *PROTECTED, Bucket=locked, Key=key, VersionId=version)


def test_copies_and_uploads_take_their_lock_from_their_own_headers(s3, locked):
    until = later(days=1)
    source = put(s3, locked, **retained("COMPLIANCE", until), ObjectLockLegalHoldStatus="ON")
    copied = s3.copy_object(Bucket=locked, Key="copy", CopySource=f"{locked}/k")["VersionId"]
    assert "ObjectLockMode" not in s3.head_object(Bucket=locked, Key="copy", VersionId=copied)
    copied = s3.copy_object(Bucket=locked, Key="copy", CopySource=f"{locked}/k", **retained("GOVERNANCE", until))
    assert s3.head_object(Bucket=locked, Key="copy")["ObjectLockMode"] == "GOVERNANCE"
    lock = {**retained("COMPLIANCE", until), "ObjectLockLegalHoldStatus": "ON"}
    upload = s3.create_multipart_upload(Bucket=locked, Key="joined", **lock)["UploadId"]
    part = s3.upload_part(Bucket=locked, Key="joined", UploadId=upload, PartNumber=1, Body=b"part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=locked, Key="joined", UploadId=upload, MultipartUpload=parts)
    head = s3.get_object(Bucket=locked, Key="joined")
    assert {name: head[name] for name in lock} == lock
    assert is_there(s3, locked, source)


def test_wrong_locks_of_new_objects_are_refused_and_nothing_is_stored(s3, locked, bucket):
    date = "x-amz-object-lock-retain-until-date"
    both = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
    for lock, message in [
        ({"ObjectLockMode": "GOVERNANCE"}, both),
        ({"ObjectLockRetainUntilDate": later(days=1)}, both),
        (retained("GOVERNANCE", later(days=-1)), "The retain until date must be in the future!"),
        (retained("FOREVER", later(days=1)), "Unknown wormMode directive."),
        ({"ObjectLockLegalHoldStatus": "MAYBE"}, "Legal Hold must be either of 'ON' or 'OFF'"),
    ]:
        target = {"Bucket": locked, "Key": "new"}
        refused(s3.put_object, "InvalidArgument", 400, message, **target, Body=b"x", **lock)
        refused(s3.create_multipart_upload, "InvalidArgument", 400, message, **target, **lock)
    good = retained("GOVERNANCE", later(days=1))
    refused(s3.put_object, *MISSING, Bucket=bucket, Key="new", Body=b"x", **good)
    refused(s3.put_object, *MISSING, Bucket=bucket, Key="new", Body=b"x", ObjectLockLegalHoldStatus="OFF")
    refused(s3.create_multipart_upload, *MISSING, Bucket=bucket, Key="new", **good)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    refused(s3.copy_object, *MISSING, Bucket=bucket, Key="new", CopySource=f"{bucket}/k", **good)
    refused(s3.get_object_retention, *MISSING, Bucket=bucket, Key="k")
    refused(s3.get_object_legal_hold, *MISSING, Bucket=bucket, Key="k")
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": later(days=1)}
    refused(s3.put_object_retention, *MISSING, Bucket=bucket, Key="k", Retention=retention)
    refused(s3.put_object_legal_hold, *MISSING, Bucket=bucket, Key="k", LegalHold={"Status": "ON"})
    with s3_error("InvalidArgument", 400):
        s3.delete_object(Bucket=bucket, Key="k", BypassGovernanceRetention=True)
    past = {"Mode": "GOVERNANCE", "RetainUntilDate": later(days=-1)}
    version = put(s3, locked)
    named = {"Bucket": locked, "Key": "k", "VersionId": version}
    refused(s3.put_object_retention, "InvalidArgument", 400, "The retain until date must be in the future!", **named, Retention=past)
    for retention in ({"Mode": "GOVERNANCE"}, {"RetainUntilDate": later(days=1)}):
        with s3_error("MalformedXML", 400):
            s3.put_object_retention(**named, Retention=retention)
    with s3_error("NoSuchObjectLockConfiguration", 404):
        s3.get_object_retention(**named)
    with s3_error("NoSuchKey", 404):
        s3.put_object_retention(Bucket=locked, Key="none", Retention={**past, "RetainUntilDate": later(days=1)})
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=locked)["Contents"]] == ["k"]
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]
    assert date not in s3.head_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPHeaders"]


def test_locked_bytes_and_documents_need_a_digest(s3, locked, server):
    client = s3_client(
        server.endpoint, signature_version="s3v4", request_checksum_calculation="when_required"
    )
    sums = {"Params": {"Bucket": locked, "Key": "k"}, "ExpiresIn": 60}
    plain = client.generate_presigned_url("put_object", **sums)
    assert requests.put(plain, data=b"x").status_code == 200
    lock = retained("GOVERNANCE", later(days=1))
    url = client.generate_presigned_url("put_object", Params={**sums["Params"], **lock}, ExpiresIn=60)
    date = lock["ObjectLockRetainUntilDate"].strftime("%Y-%m-%dT%H:%M:%SZ")
    headers = {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": date}
    answer = requests.put(url, data=b"x", headers=headers)
    assert answer.status_code == 400 and "HTTP header is required for Put Object requests" in answer.text
    configuration = {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
    }
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=configuration)
    assert requests.put(plain, data=b"y").status_code == 400
    upload = s3.create_multipart_upload(Bucket=locked, Key="k")["UploadId"]
    params = {**sums["Params"], "UploadId": upload, "PartNumber": 1}
    part = client.generate_presigned_url("upload_part", Params=params, ExpiresIn=60)
    answer = requests.put(part, data=b"x")
    assert answer.status_code == 400 and "HTTP header is required for Put Part requests" in answer.text
    assert s3.get_object(Bucket=locked, Key="k")["Body"].read() == b"x"


def test_permissions_of_locks(start, tmp_path):
    cairn = start("cluster", datanodes=1)
    users, root = Users(cairn), cairn.client()
    root.create_bucket(Bucket="bucket", ObjectLockEnabledForBucket=True)
    objects = "arn:aws:s3:::bucket/*"
    until = later(days=2)
    lock = retained("GOVERNANCE", until)

    plain, _ = users.user(allow(["s3:PutObject", "s3:GetObject*", "s3:DeleteObject*"], objects), tmp_path=tmp_path)
    reader, _ = users.user(allow(["s3:GetObject", "s3:GetObjectVersion"], objects), tmp_path=tmp_path)
    locker, _ = users.user(
        allow(["s3:PutObject", "s3:PutObjectRetention", "s3:PutObjectLegalHold", "s3:DeleteObjectVersion"], objects),
        tmp_path=tmp_path,
    )
    breaker, _ = users.user(
        allow(["s3:DeleteObjectVersion", "s3:BypassGovernanceRetention", "s3:PutObjectRetention"], objects),
        tmp_path=tmp_path,
    )
    assert outcome(plain.put_object, Bucket="bucket", Key="k", Body=b"x", **lock) in DENIED
    assert outcome(plain.put_object, Bucket="bucket", Key="k", Body=b"x", ObjectLockLegalHoldStatus="ON") in DENIED
    version = locker.put_object(Bucket="bucket", Key="k", Body=b"x", **lock, ObjectLockLegalHoldStatus="OFF")["VersionId"]
    named = {"Bucket": "bucket", "Key": "k", "VersionId": version}
    # Only callers who may read a lock see it.
    assert plain.head_object(**named)["ObjectLockMode"] == "GOVERNANCE"
    head = reader.get_object(**named)
    assert "ObjectLockMode" not in head and "ObjectLockLegalHoldStatus" not in head
    for call in (reader.get_object_retention, reader.get_object_legal_hold):
        assert outcome(call, **named) in DENIED
    assert outcome(reader.put_object_legal_hold, **named, LegalHold={"Status": "ON"}) in DENIED
    # Who may not bypass governance gains nothing by the header.
    refused(locker.delete_object, *PROTECTED, **named, BypassGovernanceRetention=True)
    refused(locker.put_object_retention, *PROTECTED, **named, Retention={}, BypassGovernanceRetention=True)
    refused(breaker.delete_object, *PROTECTED, **named)
    listed = breaker.delete_objects(
        Bucket="bucket", Delete={"Objects": [{"Key": "k", "VersionId": version}]}, BypassGovernanceRetention=True
    )
    assert "Errors" not in listed and not is_there(root, "bucket", version)

    # A policy that limits how long a key may lock.
    limited, _ = users.user(
        allow(["s3:PutObject", "s3:PutObjectRetention"], objects),
        {
            "Effect": "Deny",
            "Action": "s3:PutObjectRetention",
            "Resource": objects,
            "Condition": {"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "10"}},
        },
        {
            "Effect": "Deny",
            "Action": "s3:PutObjectRetention",
            "Resource": objects,
            "Condition": {"StringEquals": {"s3:object-lock-mode": "COMPLIANCE"}},
        },
        tmp_path=tmp_path,
    )
    limited.put_object(Bucket="bucket", Key="k", Body=b"x", **retained("GOVERNANCE", later(days=10)))
    for wrong in (retained("GOVERNANCE", later(days=11)), retained("COMPLIANCE", later(days=1))):
        assert outcome(limited.put_object, Bucket="bucket", Key="k", Body=b"x", **wrong) in DENIED
    for wrong in (
        {"Mode": "GOVERNANCE", "RetainUntilDate": later(days=11)},
        {"Mode": "COMPLIANCE", "RetainUntilDate": later(days=1)},
    ):
        assert outcome(limited.put_object_retention, Bucket="bucket", Key="k", Retention=wrong) in DENIED
    limited.put_object_retention(
        Bucket="bucket", Key="k", Retention={"Mode": "GOVERNANCE", "RetainUntilDate": later(days=10)}
    )

    maker, _ = users.user(allow("s3:CreateBucket", "*"), tmp_path=tmp_path)
    assert outcome(maker.create_bucket, Bucket="new", ObjectLockEnabledForBucket=True) in DENIED
    maker.create_bucket(Bucket="new")
    lock_maker, _ = users.user(
        allow(["s3:CreateBucket", "s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning"], "*"),
        tmp_path=tmp_path,
    )
    lock_maker.create_bucket(Bucket="newer", ObjectLockEnabledForBucket=True)
    assert outcome(maker.get_object_lock_configuration, Bucket="newer") in DENIED


def test_a_lock_survives_a_kill_of_the_metanode(start):
    cairn = start("cluster", datanodes=1)
    s3 = cairn.client()
    s3.create_bucket(Bucket="bucket", ObjectLockEnabledForBucket=True)
    until = later(days=1)
    versions = []
    for n in range(10):
        versions.append(put(s3, "bucket", f"k{n}", **retained("COMPLIANCE", until), ObjectLockLegalHoldStatus="ON"))
        if n % 3 == 0:
            cairn.metanode.kill()
            cairn.metanode.restart()
    for n, version in enumerate(versions):
        named = {"Bucket": "bucket", "Key": f"k{n}", "VersionId": version}
        s3.put_object_legal_hold(**named, LegalHold={"Status": "OFF"})
        refused(s3.delete_object, *PROTECTED, **named, BypassGovernanceRetention=True)
        assert s3.get_object_retention(**named)["Retention"] == {"Mode": "COMPLIANCE", "RetainUntilDate": until}


def test_the_clock_for_locks_is_shown_to_operators(start):
    cairn = start("cluster", datanodes=1)
    status = cairn.admin_json("lock-clock", "show")
    assert status["behind_ms"] < 5_000 and status["allowance_ms"] == 24 * 3_600_000


def test_the_command_line_of_aws(server, s3, locked, tmp_path):
    aws = tools.aws_cli(server.endpoint, tmp_path)
    (tmp_path / "file").write_bytes(some_bytes(1000))
    rule = "ObjectLockEnabled=Enabled,Rule={DefaultRetention={Mode=GOVERNANCE,Days=1}}"
    aws.run("s3api", "put-object-lock-configuration", "--bucket", locked, "--object-lock-configuration", rule)
    aws.run("s3", "cp", "file", f"s3://{locked}/file")
    shown = json.loads(aws.run("s3api", "get-object-retention", "--bucket", locked, "--key", "file").stdout)
    assert shown["Retention"]["Mode"] == "GOVERNANCE"
    hold = ["--bucket", locked, "--key", "file", "--legal-hold", "Status=ON"]
    aws.run("s3api", "put-object-legal-hold", *hold)
    version = s3.head_object(Bucket=locked, Key="file")["VersionId"]
    target = ["--bucket", locked, "--key", "file", "--version-id", version]
    failed = aws.run("s3api", "delete-object", *target, "--bypass-governance-retention", check=False)
    assert failed.returncode != 0
    assert b"object protected by object lock" in failed.stderr
    aws.run("s3api", "put-object-legal-hold", *hold[:-1], "Status=OFF")
    aws.run("s3api", "delete-object", *target, "--bypass-governance-retention")
    assert not is_there(s3, locked, version, "file")


def test_a_restic_repository_is_protected_from_its_own_key(start, tmp_path):
    """Ransomware with the key of a backup deletes all that it can; the versions under the lock are all there."""
    cairn = start("cluster", datanodes=1)
    users, root = Users(cairn), cairn.client()
    root.create_bucket(Bucket="backups", ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    root.put_object_lock_configuration(Bucket="backups", ObjectLockConfiguration=configuration)
    key = users.create("backup")
    file = tmp_path / "all.json"
    statement = allow("s3:*", "arn:aws:s3:::backups", "arn:aws:s3:::backups/*")
    file.write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    users.admin("policy", "create", "backup", str(file))
    users.admin("policy", "attach", "backup", "--user", "backup")
    env = {
        "RESTIC_REPOSITORY": f"s3:{cairn.endpoint}/backups/host",
        "RESTIC_PASSWORD": "correct horse battery staple",
        "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
        "AWS_ACCESS_KEY_ID": key[0],
        "AWS_SECRET_ACCESS_KEY": key[1],
        "AWS_DEFAULT_REGION": REGION,
        "HOME": str(tmp_path),
    }
    restic = tools.Tool([tools.need("restic")], env, tmp_path)
    (tmp_path / "source").mkdir()
    (tmp_path / "source/file").write_bytes(some_bytes(300_000))
    restic.run("init")
    restic.run("backup", "source")

    attacker = users.client(key)
    before = {(v["Key"], v["VersionId"]) for v in attacker.list_object_versions(Bucket="backups")["Versions"]}
    for name, version in before:
        assert outcome(
            attacker.delete_object, Bucket="backups", Key=name, VersionId=version, BypassGovernanceRetention=True
        ) in DENIED
        assert outcome(
            attacker.put_object_retention, Bucket="backups", Key=name, VersionId=version, Retention={}
        ) in DENIED
        attacker.put_object(Bucket="backups", Key=name, Body=b"pay")
        attacker.delete_object(Bucket="backups", Key=name)
    assert outcome(attacker.delete_bucket, Bucket="backups") == "BucketNotEmpty"
    s3_off = {"ObjectLockEnabled": "Enabled"}
    attacker.put_object_lock_configuration(Bucket="backups", ObjectLockConfiguration=s3_off)

    # What came later is stepped over: each object's first version is copied onto its key.
    after = root.list_object_versions(Bucket="backups")["Versions"]
    assert before <= {(v["Key"], v["VersionId"]) for v in after}
    for name, version in before:
        source = {"Bucket": "backups", "Key": name, "VersionId": version}
        root.copy_object(Bucket="backups", Key=name, CopySource=source)
    # The first backup's lock files of restic come back too.
    restic.run("unlock", "--remove-all")
    restic.run("check", "--read-data")
    restic.run("restore", "latest", "--target", "restored")
    assert (tmp_path / "restored/source/file").read_bytes() == some_bytes(300_000)
