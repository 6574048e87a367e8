"""Listings, with keys that are hard to encode. Listings are sorted by the keys' UTF-8 bytes."""

import pytest
from data import some_bytes
from errors import s3_error

ODD_KEYS = [
    "..",
    "../..",
    "./a",
    "a/../b",
    "a//b",
    "/leading",
    "trailing/",
    "a b",
    "a+b",
    "a%20b",
    "a%2Fb",
    "a&b=c?d#e",
    "quotes\"'<>",
    "back\\slash",
    "tab\tnewline\n",
    "control\x01\x1f",
    "delete\x7f",
    "umlaut-ä",
    "combining-a\u0308",
    "\u4e2d\u6587",
    "emoji-\U0001f980",
    "\uffff-last-of-the-plane",
    "~",
    "*",
    "k" * 1_024,
]


def put_all(s3, bucket, keys):
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")


@pytest.fixture(scope="module")
def odd_keys(shared_server):
    client = shared_server.client()
    client.create_bucket(Bucket="odd-keys")
    for key in ODD_KEYS:
        client.put_object(Bucket="odd-keys", Key=key, Body=key.encode())
    return "odd-keys"


@pytest.mark.parametrize("key", ODD_KEYS, ids=lambda key: ascii(key)[:30])
def test_an_odd_key_is_a_key_like_any_other(s3, odd_keys, key):
    # boto3 signs and sends the path unchanged, so the server must not normalise it.
    assert s3.get_object(Bucket=odd_keys, Key=key)["Body"].read() == key.encode()


def test_odd_keys_are_listed_in_byte_order(s3, odd_keys):
    # boto3 sends encoding-type=url by default, and decodes the keys.
    listed = [o["Key"] for o in s3.list_objects_v2(Bucket=odd_keys)["Contents"]]
    assert listed == sorted(ODD_KEYS, key=str.encode)
    listed = [o["Key"] for o in s3.list_objects(Bucket=odd_keys)["Contents"]]
    assert listed == sorted(ODD_KEYS, key=str.encode)


@pytest.mark.parametrize("size", [1, 3])
def test_odd_keys_in_pages(s3, odd_keys, size):
    for operation in ("list_objects_v2", "list_objects"):
        pages = s3.get_paginator(operation).paginate(Bucket=odd_keys, PaginationConfig={"PageSize": size})
        listed = [o["Key"] for page in pages for o in page["Contents"]]
        assert listed == sorted(ODD_KEYS, key=str.encode)


def test_odd_keys_are_deleted_and_copied(s3, bucket):
    # XML 1.0, and so a DeleteObjects request, cannot contain these control characters or U+FFFF.
    keys = [key for key in ODD_KEYS if not set(key) & set("\x01\x1f\uffff")]
    put_all(s3, bucket, keys)
    for key in keys:
        copied = "copy/" + key[:1_000]
        s3.copy_object(Bucket=bucket, Key=copied, CopySource={"Bucket": bucket, "Key": key})
    objects = [{"Key": key} for key in keys] + [{"Key": "copy/" + key[:1_000]} for key in keys]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert "Errors" not in answer
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_listed_object_is_described(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="k", Body=some_bytes(1_234))
    listed = s3.list_objects_v2(Bucket=bucket, FetchOwner=True)
    (entry,) = listed["Contents"]
    assert (entry["Key"], entry["Size"], entry["ETag"]) == ("k", 1_234, put["ETag"])
    assert entry["StorageClass"] == "STANDARD"
    assert entry["Owner"]["ID"]
    assert entry["LastModified"] == s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    assert (listed["KeyCount"], listed["MaxKeys"], listed["IsTruncated"]) == (1, 1_000, False)
    assert "Owner" not in s3.list_objects_v2(Bucket=bucket)["Contents"][0]


KEYS = ["a", "b/1", "b/2", "b/c/3", "d/", "e", "f/1"]


def keys_and_prefixes(answer):
    keys = [o["Key"] for o in answer.get("Contents", [])]
    return keys, [p["Prefix"] for p in answer.get("CommonPrefixes", [])]


def test_prefixes_and_delimiters(s3, bucket):
    put_all(s3, bucket, KEYS)

    def listed(**options):
        return keys_and_prefixes(s3.list_objects_v2(Bucket=bucket, **options))

    assert listed(Delimiter="/") == (["a", "e"], ["b/", "d/", "f/"])
    assert listed(Prefix="b/", Delimiter="/") == (["b/1", "b/2"], ["b/c/"])
    assert listed(Prefix="b") == (["b/1", "b/2", "b/c/3"], [])
    assert listed(Prefix="b", Delimiter="/") == ([], ["b/"])
    assert listed(Prefix="d/", Delimiter="/") == (["d/"], [])
    assert listed(Prefix="nothing") == ([], [])
    # Any string may be the delimiter.
    assert listed(Delimiter="/c") == (["a", "b/1", "b/2", "d/", "e", "f/1"], ["b/c"])
    assert listed(StartAfter="b/2") == (["b/c/3", "d/", "e", "f/1"], [])
    assert listed(StartAfter="b/", Delimiter="/")[1][-1] == "f/"
    assert listed(StartAfter="zzz") == ([], [])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_common_prefixes_count_as_entries_of_a_page(s3, listing_bucket, size):
    for operation in ("list_objects_v2", "list_objects"):
        keys, prefixes = [], []
        for page in s3.get_paginator(operation).paginate(
            Bucket=listing_bucket, Delimiter="/", PaginationConfig={"PageSize": size}
        ):
            page_keys, page_prefixes = keys_and_prefixes(page)
            assert len(page_keys) + len(page_prefixes) <= size
            keys += page_keys
            prefixes += page_prefixes
        assert (keys, prefixes) == (["a", "e"], ["b/", "d/", "f/"])


@pytest.fixture(scope="module")
def listing_bucket(shared_server):
    client = shared_server.client()
    client.create_bucket(Bucket="listing")
    put_all(client, "listing", KEYS)
    return "listing"


def test_the_older_listing_pages_by_key(s3, listing_bucket):
    page = s3.list_objects(Bucket=listing_bucket, MaxKeys=2, Marker="a")
    assert keys_and_prefixes(page) == (["b/1", "b/2"], [])
    assert page["IsTruncated"] and page["Marker"] == "a"
    # AWS returns NextMarker only if the request has a delimiter.
    assert "NextMarker" not in page
    page = s3.list_objects(Bucket=listing_bucket, MaxKeys=2, Delimiter="/")
    assert page["NextMarker"] == "b/"


def test_a_page_of_zero_keys_is_empty(s3, listing_bucket):
    page = s3.list_objects_v2(Bucket=listing_bucket, MaxKeys=0)
    assert (page["KeyCount"], page["IsTruncated"]) == (0, False)


def test_a_page_has_at_most_a_thousand_entries(s3, listing_bucket):
    page = s3.list_objects_v2(Bucket=listing_bucket, MaxKeys=5_000)
    assert page["MaxKeys"] == 1_000


def test_wrong_arguments(s3, listing_bucket):
    with s3_error("InvalidArgument", 400):
        s3.list_objects_v2(Bucket=listing_bucket, MaxKeys=-1)
    with s3_error("InvalidArgument", 400):
        s3.list_objects_v2(Bucket=listing_bucket, ContinuationToken="not a token")
    with s3_error("InvalidArgument", 400):
        s3.list_objects_v2(Bucket=listing_bucket, EncodingType="rot13")


def test_a_listing_sees_every_write_at_once(s3, bucket):
    for n in range(20):
        s3.put_object(Bucket=bucket, Key=f"{n:02}", Body=b"")
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == n + 1
