"""Tags of buckets, and the listing of buckets. Source: Amazon S3 API reference, PutBucketTagging, CreateBucket, ListBuckets."""

import itertools

import pytest
from errors import outcome, s3_error
from test_users import Users, allow

_numbers = itertools.count()
DENIED = ("AccessDenied", "403")


def tags(**pairs):
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def test_tags_are_put_replaced_and_deleted(s3, bucket):
    with s3_error("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=bucket)
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags(team="blue", cost="7")})
    got = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    assert sorted((t["Key"], t["Value"]) for t in got) == [("cost", "7"), ("team", "blue")]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags(team="red")})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags(team="red")
    for _ in range(2):
        s3.delete_bucket_tagging(Bucket=bucket)
        with s3_error("NoSuchTagSet", 404):
            s3.get_bucket_tagging(Bucket=bucket)
    for call, more in (
        (s3.get_bucket_tagging, {}),
        (s3.delete_bucket_tagging, {}),
        (s3.put_bucket_tagging, {"Tagging": {"TagSet": []}}),
    ):
        with s3_error("NoSuchBucket", 404):
            call(Bucket="no-such-bucket-here", **more)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (tags(**{"aws:created": "x"}), "InvalidTag"),
        (tags(**{"k" * 129: "x"}), "InvalidTag"),
        (tags(k="v" * 257), "InvalidTag"),
        (tags(k="$"), "InvalidTag"),
        (tags(k="1") + tags(k="2"), "InvalidTag"),
        (tags(**{f"k{n}": "v" for n in range(51)}), "BadRequest"),
    ],
)
def test_wrong_tags_are_refused_and_change_nothing(s3, bucket, wrong, code):
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags(team="blue")})
    with s3_error(code, 400):
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": wrong})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags(team="blue")
    name = f"tagged-{next(_numbers)}"
    with s3_error(code, 400):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"Tags": wrong})
    with s3_error("NoSuchBucket", 404):
        s3.list_objects_v2(Bucket=name)


def test_50_tags_of_full_length_fit(s3, bucket):
    longest = tags(**{f"{n:02}" + "é" * 126: "v" * 256 for n in range(50)})
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": longest})
    got = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    assert sorted(t["Key"] for t in got) == sorted(t["Key"] for t in longest)


def test_a_new_bucket_has_its_tags_from_the_start_and_they_go_with_it(s3):
    name = f"tagged-{next(_numbers)}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"Tags": tags(team="blue")})
    assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == tags(team="blue")
    s3.delete_bucket(Bucket=name)
    s3.create_bucket(Bucket=name)
    with s3_error("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=name)


def test_permissions_of_tags_and_listings(start, tmp_path):
    cairn = start("cluster", datanodes=1)
    users, root = Users(cairn), cairn.client()
    root.create_bucket(Bucket="bucket")
    reader, _ = users.user(allow("s3:GetBucketTagging", "arn:aws:s3:::bucket"), tmp_path=tmp_path)
    writer, _ = users.user(allow("s3:PutBucketTagging", "arn:aws:s3:::bucket"), tmp_path=tmp_path)
    maker, _ = users.user(allow("s3:CreateBucket", "*"), tmp_path=tmp_path)
    lister, _ = users.user(allow("s3:ListAllMyBuckets", "*"), tmp_path=tmp_path)
    document = {"TagSet": tags(team="blue")}
    assert outcome(reader.put_bucket_tagging, Bucket="bucket", Tagging=document) in DENIED
    writer.put_bucket_tagging(Bucket="bucket", Tagging=document)
    assert outcome(writer.get_bucket_tagging, Bucket="bucket") in DENIED
    assert reader.get_bucket_tagging(Bucket="bucket")["TagSet"] == document["TagSet"]
    assert outcome(reader.delete_bucket_tagging, Bucket="bucket") in DENIED
    writer.delete_bucket_tagging(Bucket="bucket")
    configuration = {"Tags": document["TagSet"]}
    assert outcome(maker.create_bucket, Bucket="other", CreateBucketConfiguration=configuration) in DENIED
    assert outcome(reader.list_buckets) in DENIED
    assert [b["Name"] for b in lister.list_buckets()["Buckets"]] == ["bucket"]
    tagger, _ = users.user(allow(["s3:CreateBucket", "s3:TagResource"], "*"), tmp_path=tmp_path)
    tagger.create_bucket(Bucket="other", CreateBucketConfiguration=configuration)


def test_buckets_are_listed_by_prefix_and_region_in_pages(start):
    cairn = start("server")
    s3 = cairn.client()
    names = [f"{kind}-{n:02}" for kind in ("aa", "bb") for n in range(5)]
    for name in names:
        s3.create_bucket(Bucket=name)
    whole = s3.list_buckets()
    assert [b["Name"] for b in whole["Buckets"]] == names
    assert all("BucketRegion" not in b for b in whole["Buckets"])
    assert "ContinuationToken" not in whole and "Prefix" not in whole and whole["Owner"]["ID"]

    page = s3.list_buckets(Prefix="bb-")
    assert [b["Name"] for b in page["Buckets"]] == names[5:]
    assert page["Prefix"] == "bb-" and {b["BucketRegion"] for b in page["Buckets"]} == {"us-east-1"}

    found, token, pages = [], {}, 0
    while True:
        page = s3.list_buckets(MaxBuckets=3, Prefix="", **token)
        found += [b["Name"] for b in page["Buckets"]]
        pages += 1
        if "ContinuationToken" not in page:
            break
        token = {"ContinuationToken": page["ContinuationToken"]}
    assert (found, pages) == (names, 4)
    # A bucket that is made or deleted between two pages shifts no other.
    first = s3.list_buckets(MaxBuckets=2)
    s3.delete_bucket(Bucket="aa-00")
    s3.create_bucket(Bucket="aa-0")
    second = s3.list_buckets(MaxBuckets=2, ContinuationToken=first["ContinuationToken"])
    assert [b["Name"] for b in second["Buckets"]] == ["aa-02", "aa-03"]

    assert s3.list_buckets(BucketRegion="eu-west-1").get("Buckets", []) == []
    assert len(s3.list_buckets(BucketRegion="us-east-1")["Buckets"]) == 10
    unchecked = cairn.client(parameter_validation=False)
    for wrong in ({"MaxBuckets": 0}, {"MaxBuckets": 10001}, {"ContinuationToken": "none of ours"}):
        assert outcome(unchecked.list_buckets, **wrong) == "InvalidArgument", wrong
