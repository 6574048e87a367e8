"""Buckets, with boto3. Sources: AWS's API reference of each operation, and "Bucket naming rules"."""

import pytest
from errors import s3_error
from harness import s3_client


def test_a_bucket_is_made_found_and_deleted(s3):
    s3.create_bucket(Bucket="made-and-deleted")
    assert "made-and-deleted" in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    s3.head_bucket(Bucket="made-and-deleted")
    # GetBucketLocation returns no name for us-east-1.
    assert s3.get_bucket_location(Bucket="made-and-deleted")["LocationConstraint"] is None
    s3.delete_bucket(Bucket="made-and-deleted")
    assert "made-and-deleted" not in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    with s3_error("404", 404):
        s3.head_bucket(Bucket="made-and-deleted")


def test_buckets_are_listed_in_order_with_owner_and_date(s3):
    for name in ("list-b", "list-a", "list-c"):
        s3.create_bucket(Bucket=name)
    answer = s3.list_buckets()
    names = [b["Name"] for b in answer["Buckets"]]
    assert names == sorted(names)
    assert answer["Owner"]["ID"]
    assert all(b["CreationDate"].year > 2000 for b in answer["Buckets"])


@pytest.mark.parametrize(
    "name",
    [
        "ab",  # shorter than 3
        "a" * 64,  # longer than 63
        "Upper",
        "under_score",
        "-starts-with-hyphen",
        "ends-with-hyphen-",
        "two..dots",
        "192.168.5.4",  # formatted as an IP address
        "xn--prefix",
        "name-s3alias",
    ],
)
def test_names_against_the_rules_are_refused(server, name):
    # boto3 checks names before it sends them. The check is removed, so that the name reaches the server.
    client = server.client()
    client.meta.events.unregister("before-parameter-build.s3", _bucket_name_check(client))
    with s3_error("InvalidBucketName", 400):
        client.create_bucket(Bucket=name)


def _bucket_name_check(_client):
    from botocore.handlers import validate_bucket_name

    return validate_bucket_name


def test_making_ones_own_bucket_again_is_harmless_in_us_east_1(s3, bucket):
    s3.put_object(Bucket=bucket, Key="kept", Body=b"x")
    s3.create_bucket(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"x"


def test_a_location_that_is_not_the_endpoints_is_refused(s3):
    with s3_error("InvalidLocationConstraint", 400):
        s3.create_bucket(Bucket="elsewhere", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})


def test_only_an_empty_bucket_can_be_deleted(s3, bucket):
    s3.put_object(Bucket=bucket, Key="x", Body=b"")
    with s3_error("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="x")
    s3.delete_bucket(Bucket=bucket)


def test_operations_on_a_missing_bucket_fail_with_no_such_bucket(s3):
    calls = [
        lambda b: s3.list_objects_v2(Bucket=b),
        lambda b: s3.list_objects(Bucket=b),
        lambda b: s3.get_object(Bucket=b, Key="k"),
        lambda b: s3.put_object(Bucket=b, Key="k", Body=b"x"),
        lambda b: s3.delete_object(Bucket=b, Key="k"),
        lambda b: s3.delete_bucket(Bucket=b),
        lambda b: s3.get_bucket_location(Bucket=b),
        lambda b: s3.create_multipart_upload(Bucket=b, Key="k"),
        lambda b: s3.list_multipart_uploads(Bucket=b),
        lambda b: s3.delete_objects(Bucket=b, Delete={"Objects": [{"Key": "k"}]}),
    ]
    for call in calls:
        with s3_error("NoSuchBucket", 404):
            call("no-such-bucket")


def test_a_client_with_another_region_is_told_the_right_one(server):
    client = s3_client(server.endpoint, region="eu-central-1")
    with s3_error("AuthorizationHeaderMalformed", 400):
        client.list_buckets()


@pytest.mark.parametrize(
    "call",
    [
        lambda s3, b: s3.put_bucket_website(
            Bucket=b, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}}
        ),
        lambda s3, b: s3.put_bucket_accelerate_configuration(
            Bucket=b, AccelerateConfiguration={"Status": "Enabled"}
        ),
        lambda s3, b: s3.put_bucket_replication(
            Bucket=b,
            ReplicationConfiguration={
                "Role": "r",
                "Rules": [{"Status": "Enabled", "Destination": {"Bucket": "arn:aws:s3:::x"}, "Prefix": ""}],
            },
        ),
        lambda s3, b: s3.get_object_torrent(Bucket=b, Key="k"),
        lambda s3, b: s3.restore_object(Bucket=b, Key="k", RestoreRequest={"Days": 1}),
    ],
    ids=["website", "accelerate", "replication", "torrent", "restore"],
)
def test_operations_that_are_not_built_are_not_implemented(s3, bucket, call):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with s3_error("NotImplemented", 501):
        call(s3, bucket)


def test_missing_bucket_configurations_have_the_errors_of_aws(s3, bucket):
    for call, code in (
        (s3.get_bucket_policy, "NoSuchBucketPolicy"),
        (s3.get_bucket_cors, "NoSuchCORSConfiguration"),
        (s3.get_bucket_lifecycle_configuration, "NoSuchLifecycleConfiguration"),
        (s3.get_bucket_tagging, "NoSuchTagSet"),
        (s3.get_bucket_website, "NoSuchWebsiteConfiguration"),
    ):
        with s3_error(code, 404):
            call(Bucket=bucket)
    # AWS returns no Status for a bucket whose versioning was never set.
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)


def test_what_was_never_configured_can_be_deleted(s3, bucket):
    """`terraform destroy` deletes these configurations whether or not they exist, and failed, because Cairn answered 501."""
    for delete in (
        s3.delete_bucket_cors,
        s3.delete_bucket_encryption,
        s3.delete_bucket_lifecycle,
        s3.delete_bucket_policy,
        s3.delete_bucket_replication,
        s3.delete_bucket_tagging,
        s3.delete_bucket_website,
        s3.delete_public_access_block,
        s3.delete_bucket_ownership_controls,
    ):
        assert delete(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
        with s3_error("NoSuchBucket", 404):
            delete(Bucket="there-is-no-such-bucket")
    with s3_error("NoSuchConfiguration", 404):
        s3.delete_bucket_metrics_configuration(Bucket=bucket, Id="a")
    assert not s3.list_bucket_metrics_configurations(Bucket=bucket)["IsTruncated"]


def test_settings_that_equal_the_fixed_behaviour_are_accepted(s3, bucket):
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "BucketOwner"})
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    with s3_error("NotImplemented", 501):
        s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
