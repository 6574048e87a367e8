"""Lifecycle rules, by boto3 and aws-cli, against a server whose days have two seconds. Source: Amazon S3 User Guide, "Managing the
lifecycle of objects", and the API reference of each operation."""

import datetime
import itertools
import json
import re

import pytest
import tools
from data import some_bytes
from errors import outcome, s3_error
from harness import start_cluster, wait_until

_numbers = itertools.count()

MALFORMED = (
    "MalformedXML",
    "The XML you provided was not well-formed or did not validate against our published schema",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A cluster with two gateways and three datanodes, a class of one replica, and days of two seconds."""
    env = {
        "CAIRN_LIFECYCLE_DAY": "2s",
        "CAIRN_STORAGE_CLASS": "COLD=1",
        "CAIRN_WORKER_INTERVAL": "200ms",
    }
    cairn = start_cluster(tmp_path_factory.mktemp("lifecycle"), datanodes=3, gateways=2, env=env)
    yield cairn
    cairn.check()
    cairn.stop()


@pytest.fixture(scope="module")
def s3(server):
    return server.client()


@pytest.fixture
def bucket(s3):
    name = f"lifecycle-{next(_numbers)}"
    s3.create_bucket(Bucket=name)
    return name


def rule(rule_id="r", **members):
    return {"ID": rule_id, "Status": "Enabled", "Filter": {}} | members


def put(s3, bucket, *rules, **members):
    return s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)}, **members
    )


def get(s3, bucket):
    return s3.get_bucket_lifecycle_configuration(Bucket=bucket)


def versioned(s3, bucket, status="Enabled"):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def keys(s3, bucket):
    return [found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def versions(s3, bucket):
    """How many versions there are, and how many delete markers."""
    page = s3.list_object_versions(Bucket=bucket)
    return len(page.get("Versions", [])), len(page.get("DeleteMarkers", []))


EXPIRE = {"Expiration": {"Days": 1}}

# A configuration with every element, as clients write it.
EVERYTHING = [
    rule("all", Expiration={"Days": 365}),
    rule("prefix", Filter={"Prefix": "logs/"}, Expiration={"ExpiredObjectDeleteMarker": True}),
    rule("tag", Filter={"Tag": {"Key": "k", "Value": "v"}}, Transitions=[{"Days": 0, "StorageClass": "GLACIER_IR"}]),
    rule("larger", Filter={"ObjectSizeGreaterThan": 500}, NoncurrentVersionExpiration={"NoncurrentDays": 3}),
    rule(
        "and",
        Status="Disabled",
        Filter={
            "And": {
                "Prefix": "a",
                "Tags": [{"Key": "x", "Value": "1"}, {"Key": "y", "Value": ""}],
                "ObjectSizeGreaterThan": 1,
                "ObjectSizeLessThan": 99,
            }
        },
        NoncurrentVersionExpiration={"NoncurrentDays": 40, "NewerNoncurrentVersions": 5},
        NoncurrentVersionTransitions=[{"NoncurrentDays": 30, "StorageClass": "STANDARD_IA", "NewerNoncurrentVersions": 2}],
    ),
    rule(
        "date",
        Filter={"Prefix": ""},
        Expiration={"Date": datetime.datetime(2040, 1, 1, tzinfo=datetime.UTC)},
        Transitions=[{"Date": datetime.datetime(2039, 1, 1, tzinfo=datetime.UTC), "StorageClass": "COLD"}],
    ),
    rule("abort", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7}),
]


def test_a_configuration_is_read_as_it_was_written(s3, bucket):
    with s3_error("NoSuchLifecycleConfiguration", 404):
        get(s3, bucket)
    answer = put(s3, bucket, *EVERYTHING)
    assert answer["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    found = get(s3, bucket)
    assert found["Rules"] == EVERYTHING
    assert found["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    put(s3, bucket, rule(**EXPIRE), TransitionDefaultMinimumObjectSize="varies_by_storage_class")
    assert get(s3, bucket)["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
    s3.delete_bucket_lifecycle(Bucket=bucket)
    s3.delete_bucket_lifecycle(Bucket=bucket)
    with s3_error("NoSuchLifecycleConfiguration", 404):
        get(s3, bucket)


def test_the_older_form_with_the_prefix_in_the_rule_works(s3, bucket):
    old = {"ID": "old", "Status": "Enabled", "Prefix": "logs/", "Expiration": {"Days": 1}}
    put(s3, bucket, old)
    assert get(s3, bucket)["Rules"] == [old]
    with pytest.raises(Exception) as raised:
        kept = {"NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 1}}
        put(s3, bucket, {"ID": "old", "Status": "Enabled", "Prefix": ""} | kept)
    assert raised.value.response["Error"]["Code"] == "InvalidRequest"


def test_rules_without_an_id_get_one(s3, bucket):
    put(s3, bucket, *({"Status": "Enabled", "Filter": {"Prefix": p}, **EXPIRE} for p in "ab"))
    ids = {found["ID"] for found in get(s3, bucket)["Rules"]}
    assert len(ids) == 2 and all(ids)


TAG = {"Tag": {"Key": "k", "Value": "v"}}
MIDDAY = datetime.datetime(2030, 1, 1, 12, tzinfo=datetime.UTC)
MIDNIGHT = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


def to(storage_class, days):
    return {"Days": days, "StorageClass": storage_class}


REFUSED = {
    "no rule": ([], *MALFORMED),
    "too many rules": ([rule(str(n), **EXPIRE) for n in range(1001)], *MALFORMED),
    "no action": ([rule()], "InvalidRequest", "At least one action needs to be specified in a rule"),
    "long id": ([rule("i" * 256, **EXPIRE)], "InvalidArgument", "ID length should not exceed allowed limit of 255"),
    "id twice": (
        [rule(**EXPIRE), rule(**EXPIRE)],
        "InvalidArgument",
        "Rule ID must be unique. Found same ID for more than one rule",
    ),
    "unknown status": ([rule(Status="On", **EXPIRE)], *MALFORMED),
    "neither filter nor prefix": ([{"Status": "Enabled", **EXPIRE}], *MALFORMED),
    "filter and prefix": ([rule(Prefix="a", **EXPIRE)], *MALFORMED),
    "two conditions without And": ([rule(Filter={"Prefix": "a", **TAG}, **EXPIRE)], *MALFORMED),
    "no days": ([rule(Expiration={})], *MALFORMED),
    "0 days": (
        [rule(Expiration={"Days": 0})],
        "InvalidArgument",
        "'Days' for Expiration action must be a positive integer",
    ),
    "negative days": (
        [rule(Expiration={"Days": -1})],
        "InvalidArgument",
        "'Days' for Expiration action must be a positive integer",
    ),
    "days and date": ([rule(Expiration={"Days": 1, "Date": MIDNIGHT})], *MALFORMED),
    "days and marker": ([rule(Expiration={"Days": 1, "ExpiredObjectDeleteMarker": True})], *MALFORMED),
    "midday": ([rule(Expiration={"Date": MIDDAY})], "InvalidArgument", "'Date' must be at midnight GMT"),
    "marker with tags": (
        [rule(Filter=TAG, Expiration={"ExpiredObjectDeleteMarker": True})],
        "InvalidRequest",
        "ExpiredObjectDeleteMarker cannot be specified with Tags.",
    ),
    "abort with tags": (
        [rule(Filter=TAG, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})],
        "InvalidRequest",
        "AbortIncompleteMultipartUpload cannot be specified with Tags.",
    ),
    "abort after 0 days": (
        [rule(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 0})],
        "InvalidArgument",
        "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer",
    ),
    "sizes that contradict": (
        [rule(Filter={"And": {"ObjectSizeGreaterThan": 9, "ObjectSizeLessThan": 5}}, **EXPIRE)],
        "InvalidRequest",
        "ObjectSizeLessThan has to be a value greater than ObjectSizeGreaterThan.",
    ),
    "tags twice": (
        [rule(Filter={"And": {"Tags": [{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}]}}, **EXPIRE)],
        "InvalidRequest",
        "Duplicate Tag Keys are not allowed.",
    ),
    "no noncurrent days": ([rule(NoncurrentVersionExpiration={"NewerNoncurrentVersions": 1})], *MALFORMED),
    "too many newer versions": (
        [rule(NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 101})],
        "InvalidArgument",
        "'NewerNoncurrentVersions' must be a positive integer of at most 100",
    ),
    "unknown class": ([rule(Transitions=[to("FROZEN", 1)])], *MALFORMED),
    "class that is no target": ([rule(Transitions=[to("STANDARD", 1)])], *MALFORMED),
    "infrequent access too soon": (
        [rule(Transitions=[to("STANDARD_IA", 29)])],
        "InvalidArgument",
        "'Days' in Transition action must be greater than or equal to 30 for storageClass 'STANDARD_IA'",
    ),
    "one class twice": (
        [rule(Transitions=[to("COLD", 1), to("COLD", 2)])],
        "InvalidRequest",
        "'StorageClass' must be different for 'Transition' actions in same 'Rule' with prefix ''",
    ),
    "transition after expiration": (
        [rule(Expiration={"Days": 5}, Transitions=[to("COLD", 5)])],
        "InvalidArgument",
        "'Days' in the Expiration action for prefix '' must be greater than 'Days' in the Transition action",
    ),
    "days and dates": (
        [rule(Expiration={"Date": MIDNIGHT}, Transitions=[to("COLD", 5)])],
        "InvalidRequest",
        "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for prefix ''",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_aws_refuses_is_refused_and_leaves_no_trace(s3, bucket, case):
    rules, code, message = REFUSED[case]
    kept = rule("kept", Expiration={"Days": 99})
    put(s3, bucket, kept)
    with pytest.raises(Exception) as raised:
        put(s3, bucket, *rules)
    error = raised.value.response
    got = (error["Error"]["Code"], error["Error"]["Message"], error["ResponseMetadata"]["HTTPStatusCode"])
    assert got == (code, message, 400)
    assert get(s3, bucket)["Rules"] == [kept]


def test_an_archive_class_is_refused_in_words(s3, bucket):
    with pytest.raises(Exception) as raised:
        put(s3, bucket, rule(Transitions=[to("GLACIER", 1)]))
    error = raised.value.response["Error"]
    assert error["Code"] == "InvalidStorageClass" and "restored before they are read" in error["Message"]
    assert outcome(get, s3, bucket) == "NoSuchLifecycleConfiguration"


def test_an_unknown_minimum_size_is_refused(s3, bucket):
    with s3_error("InvalidArgument", 400):
        put(s3, bucket, rule(**EXPIRE), TransitionDefaultMinimumObjectSize="none")
    assert outcome(get, s3, bucket) == "NoSuchLifecycleConfiguration"


EXPIRY = re.compile(r'expiry-date="(.+)", rule-id="(.+)"')


def test_answers_tell_when_an_object_expires(server, s3, bucket):
    put(
        s3,
        bucket,
        rule("all of them", Filter={"Prefix": "all/"}, Expiration={"Days": 1000}),
        rule("tagged", Filter={"Tag": {"Key": "k", "Value": "v"}}, Expiration={"Days": 500}),
    )

    def told(answer):
        found = EXPIRY.fullmatch(answer.get("Expiration", ""))
        return found and found.group(2)

    assert told(s3.put_object(Bucket=bucket, Key="other", Body=b"x")) is None
    assert told(s3.put_object(Bucket=bucket, Key="all/a", Body=b"x")) == "all%20of%20them"
    assert told(s3.put_object(Bucket=bucket, Key="all/b", Body=b"x", Tagging="k=v")) == "tagged", "the earlier one"
    assert told(s3.head_object(Bucket=bucket, Key="all/a")) == "all%20of%20them"
    assert told(s3.get_object(Bucket=bucket, Key="all/b")) == "tagged"
    assert told(s3.head_object(Bucket=bucket, Key="other")) is None
    source = {"Bucket": bucket, "Key": "other"}
    assert told(s3.copy_object(Bucket=bucket, Key="all/copy", CopySource=source)) == "all%20of%20them"
    upload = s3.create_multipart_upload(Bucket=bucket, Key="all/parts")["UploadId"]
    target = {"Bucket": bucket, "Key": "all/parts", "UploadId": upload}
    part = s3.upload_part(PartNumber=1, Body=b"x", **target)["ETag"]
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]}, **target)
    assert told(done) == "all%20of%20them"
    # A day has two seconds, and the date is a midnight of such days.
    answer = s3.head_object(Bucket=bucket, Key="all/a")
    date = EXPIRY.fullmatch(answer["Expiration"]).group(1)
    due = datetime.datetime.strptime(date, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=datetime.UTC)
    days = (due - answer["LastModified"]).total_seconds() / 2
    assert 1000 <= days <= 1001 and due.second % 2 == 0
    # Gateways remember the rules, and a change of them is seen at once, also through the other gateway.
    other = server.client(gateway=1)
    assert told(other.head_object(Bucket=bucket, Key="all/a")) == "all%20of%20them"
    s3.delete_bucket_lifecycle(Bucket=bucket)
    for client in (s3, other):
        assert told(client.head_object(Bucket=bucket, Key="all/a")) is None


def test_noncurrent_versions_have_no_expiration(s3, bucket):
    versioned(s3, bucket)
    put(s3, bucket, rule(Expiration={"Days": 1000}))
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    assert "Expiration" in s3.head_object(Bucket=bucket, Key="k")
    assert "Expiration" not in s3.head_object(Bucket=bucket, Key="k", VersionId=old)


def test_a_date_beyond_the_calendar_is_the_last_one(s3, bucket):
    put(s3, bucket, rule(Expiration={"Days": 2147483647}))
    # With days of two seconds this is in the year 2162; with days of 24 hours it would be in the year 5,881,580.
    assert "Expiration" in s3.put_object(Bucket=bucket, Key="k", Body=b"x")


def test_answers_tell_when_an_upload_is_aborted(s3, bucket):
    put(s3, bucket, rule("abort/1", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1000}))
    begun = s3.create_multipart_upload(Bucket=bucket, Key="k")
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=begun["UploadId"])
    for answer in (begun, listed):
        assert answer["AbortRuleId"] == "abort%2F1"
        assert answer["AbortDate"] > datetime.datetime.now(datetime.UTC)
    s3.delete_bucket_lifecycle(Bucket=bucket)
    assert "AbortDate" not in s3.list_parts(Bucket=bucket, Key="k", UploadId=begun["UploadId"])


def test_objects_expire_by_prefix_tag_and_size_and_those_from_before_the_rules_too(s3, bucket):
    s3.put_object(Bucket=bucket, Key="logs/before", Body=b"x")
    put(
        s3,
        bucket,
        rule("prefix", Filter={"Prefix": "logs/"}, **EXPIRE),
        rule("tag", Filter={"Tag": {"Key": "keep", "Value": "no"}}, **EXPIRE),
        rule("size", Filter={"ObjectSizeGreaterThan": 1000}, **EXPIRE),
        rule("off", Status="Disabled", **EXPIRE),
    )
    s3.put_object(Bucket=bucket, Key="logs/after", Body=b"x")
    s3.put_object(Bucket=bucket, Key="tagged", Body=b"x", Tagging="keep=no&other=1")
    s3.put_object(Bucket=bucket, Key="large", Body=b"x" * 1001)
    s3.put_object(Bucket=bucket, Key="limit", Body=b"x" * 1000)
    s3.put_object(Bucket=bucket, Key="stays", Body=b"x", Tagging="keep=yes")
    wait_until(lambda: keys(s3, bucket) == ["limit", "stays"], "the expiration")


def test_versions_markers_and_newer_versions(s3, bucket):
    versioned(s3, bucket)
    put(
        s3,
        bucket,
        rule("current", Filter={"Prefix": "ends"}, **EXPIRE, NoncurrentVersionExpiration={"NoncurrentDays": 1}),
        rule(
            "newer",
            Filter={"Prefix": "keeps"},
            NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 2},
        ),
        rule("markers", Filter={"Prefix": "marker"}, Expiration={"ExpiredObjectDeleteMarker": True}),
    )
    for _ in range(5):
        s3.put_object(Bucket=bucket, Key="keeps", Body=b"x")
    s3.put_object(Bucket=bucket, Key="ends", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="marker")
    # The current version and two noncurrent ones; of the rest nothing, also no delete marker.
    wait_until(lambda: versions(s3, bucket) == (3, 0), "the noncurrent versions to end")
    assert keys(s3, bucket) == ["keeps"]


def test_while_versioning_is_suspended_a_null_marker_takes_the_place_of_the_null_version(s3, bucket):
    versioned(s3, bucket)
    kept = s3.put_object(Bucket=bucket, Key="k", Body=b"with an id")["VersionId"]
    versioned(s3, bucket, "Suspended")
    s3.put_object(Bucket=bucket, Key="k", Body=b"null")
    put(s3, bucket, rule(**EXPIRE))
    wait_until(lambda: versions(s3, bucket) == (1, 1), "the expiration")
    page = s3.list_object_versions(Bucket=bucket)
    assert page["Versions"][0]["VersionId"] == kept and page["DeleteMarkers"][0]["VersionId"] == "null"


def test_uploads_are_aborted(s3, bucket):
    put(s3, bucket, rule(Filter={"Prefix": "old"}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}))
    begun = {key: s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in ("old", "young")}
    target = {"Bucket": bucket, "Key": "old", "UploadId": begun["old"]}
    s3.upload_part(PartNumber=1, Body=b"x", **target)

    def left():
        return [upload["Key"] for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]

    wait_until(lambda: left() == ["young"], "the abort")
    with s3_error("NoSuchUpload", 404):
        s3.list_parts(**target)


def test_a_transition_changes_the_class_and_the_number_of_replicas(server, s3, bucket):
    body = some_bytes(200_000)

    def replicas():
        extents = server.admin_json("where", f"s3://{bucket}/large")["extents"]
        return [len(extent["replicas"]) for extent in extents]

    s3.put_object(Bucket=bucket, Key="large", Body=body)
    s3.put_object(Bucket=bucket, Key="small", Body=b"x")
    wait_until(lambda: replicas() == [3], "three replicas")
    put(s3, bucket, rule(Transitions=[to("COLD", 1)]))
    wait_until(lambda: s3.head_object(Bucket=bucket, Key="large").get("StorageClass") == "COLD", "the transition")
    wait_until(lambda: replicas() == [1], "the replicas to go")
    assert s3.get_object(Bucket=bucket, Key="large")["Body"].read() == body
    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="small"), "less than 128 KiB"


def test_a_locked_version_is_never_deleted(s3):
    bucket = f"lifecycle-{next(_numbers)}"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    put(s3, bucket, rule(**EXPIRE, NoncurrentVersionExpiration={"NoncurrentDays": 1}))
    held = s3.put_object(Bucket=bucket, Key="held", Body=b"x", ObjectLockLegalHoldStatus="ON")["VersionId"]
    s3.put_object(Bucket=bucket, Key="free", Body=b"x")
    # The versions get markers; the free one ends, and its marker after it.
    wait_until(lambda: versions(s3, bucket) == (1, 1), "the free version to end")
    assert s3.get_object(Bucket=bucket, Key="held", VersionId=held)["Body"].read() == b"x"
    s3.put_object_legal_hold(Bucket=bucket, Key="held", VersionId=held, LegalHold={"Status": "OFF"})
    wait_until(lambda: versions(s3, bucket) == (0, 0), "the version to end after its hold")


def test_an_operator_sees_what_is_due_and_why_not(server, s3, bucket):
    put(
        s3,
        bucket,
        rule("later", Expiration={"Days": 1000}),
        rule("off", Status="Disabled", **EXPIRE),
        rule("logs", Filter={"Prefix": "logs/"}, **EXPIRE),
    )
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    found = server.admin_json("lifecycle", "explain", f"s3://{bucket}/k")
    [version] = found["versions"]
    assert version["is_current"] and version["action"] is None and version["due_at"] > found["now"]
    assert {each["rule"]: each["why_not"] for each in version["rules"]} == {
        "later": None,
        "off": "it is disabled",
        "logs": "the key does not begin with its prefix",
    }
    text = server.admin("lifecycle", "explain", f"s3://{bucket}/k")
    assert "rule off: nothing: it is disabled" in text and "now: nothing; looked at again" in text
    listed = server.admin_json("lifecycle", "list")
    [row] = [row for row in listed["buckets"] if row["bucket"] == bucket]
    assert (row["rules"], row["enabled"], row["overdue"]) == (3, 2, 0)
    assert bucket in server.admin("lifecycle", "list")


def test_the_worker_is_shown_and_can_be_paused(server, s3, bucket):
    server.admin("worker", "pause", "lifecycle")
    try:
        put(s3, bucket, rule(**EXPIRE))
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        explained = lambda: server.admin_json("lifecycle", "explain", f"s3://{bucket}/k")  # noqa: E731
        wait_until(lambda: explained()["versions"][0]["action"] is not None, "the object to be due")
        assert keys(s3, bucket) == ["k"]
        assert server.admin_json("lifecycle", "list")["overdue"] >= 1
    finally:
        with server.events() as events:
            server.admin("worker", "resume", "lifecycle")
            event = events.wait_for("LifecycleApplied", bucket=bucket, key="k")
    assert (event["action"], event["rule"]) == ("expire", "r")
    wait_until(lambda: keys(s3, bucket) == [], "the expiration")
    assert "lifecycle" in server.admin("worker", "list")


def test_by_aws_cli(server, s3, bucket, tmp_path):
    aws = tools.aws_cli(server.endpoint, tmp_path)
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"Rules": [rule(Filter={"Prefix": "a/"}, **EXPIRE)]}))
    named = ["--bucket", bucket]
    aws.run("s3api", "put-bucket-lifecycle-configuration", *named, "--lifecycle-configuration", f"file://{rules}")
    shown = json.loads(aws.run("s3api", "get-bucket-lifecycle-configuration", *named).stdout)
    assert shown["Rules"] == [rule(Filter={"Prefix": "a/"}, **EXPIRE)]
    s3.put_object(Bucket=bucket, Key="a/k", Body=b"x")
    wait_until(lambda: keys(s3, bucket) == [], "the expiration")
    aws.run("s3api", "delete-bucket-lifecycle", *named)
    assert aws.run("s3api", "get-bucket-lifecycle-configuration", *named, check=False).returncode != 0


def test_a_document_needs_a_digest(s3, bucket):
    def without_digests(request, **_):
        for name in list(request.headers):
            if name.lower() == "content-md5" or name.lower().startswith(("x-amz-checksum-", "x-amz-sdk-checksum-")):
                del request.headers[name]

    events = s3.meta.events
    events.register("before-sign.s3.PutBucketLifecycleConfiguration", without_digests)
    try:
        with s3_error("InvalidRequest", 400):
            put(s3, bucket, rule(**EXPIRE))
    finally:
        events.unregister("before-sign.s3.PutBucketLifecycleConfiguration", without_digests)
    assert outcome(get, s3, bucket) == "NoSuchLifecycleConfiguration"
