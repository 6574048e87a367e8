"""Presigned URLs, used by a plain HTTP client."""

import datetime
import urllib.parse

import botocore.auth
import pytest
import requests
from data import some_bytes
from harness import s3_client


@pytest.fixture
def url(server, bucket):
    # boto3 presigns with Signature Version 2 for us-east-1 by default.
    s3 = server.client(signature_version="s3v4")

    def presign(operation, expires=300, **params):
        return s3.generate_presigned_url(operation, Params={"Bucket": bucket, **params}, ExpiresIn=expires)

    return presign


def code(answer):
    return answer.text.split("<Code>")[1].split("</Code>")[0]


def test_put_get_head_and_delete(url):
    body = some_bytes(1_000_000)
    assert requests.put(url("put_object", Key="a b/ö"), data=body).status_code == 200
    assert requests.get(url("get_object", Key="a b/ö")).content == body
    head = requests.head(url("head_object", Key="a b/ö"))
    assert (head.status_code, head.headers["content-length"]) == (200, "1000000")
    assert requests.delete(url("delete_object", Key="a b/ö")).status_code == 204
    assert requests.get(url("get_object", Key="a b/ö")).status_code == 404


def test_overrides_are_part_of_the_signature(url, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    signed = url("get_object", Key="k", ResponseContentType="text/csv")
    assert requests.get(signed).headers["content-type"] == "text/csv"
    forged = signed.replace("csv", "html")
    answer = requests.get(forged)
    assert (answer.status_code, code(answer)) == (403, "SignatureDoesNotMatch")


def test_signed_headers_must_come(url):
    signed = url("put_object", Key="k", ContentType="text/plain")
    answer = requests.put(signed, data=b"x", headers={"content-type": "text/html"})
    assert (answer.status_code, code(answer)) == (403, "SignatureDoesNotMatch")
    assert requests.put(signed, data=b"x", headers={"content-type": "text/plain"}).status_code == 200


def test_a_url_is_valid_for_one_key_and_one_method(url, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    signed = url("get_object", Key="k")
    assert requests.get(signed.replace("/k?", "/other?")).status_code == 403
    assert requests.put(signed, data=b"y").status_code == 403
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def shifted(signed, **changes):
    """The URL with changed query parameters."""
    parts = urllib.parse.urlsplit(signed)
    query = dict(urllib.parse.parse_qsl(parts.query)) | changes
    return parts._replace(query=urllib.parse.urlencode(query)).geturl()


def test_a_url_expires(url, s3, bucket, monkeypatch):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    earlier = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: earlier)
    assert requests.get(url("get_object", Key="k", expires=600)).content == b"x"
    answer = requests.get(url("get_object", Key="k", expires=60))
    assert (answer.status_code, code(answer)) == (403, "AccessDenied")
    assert "expired" in answer.text


def test_a_url_is_valid_for_a_week_at_most(url):
    # AWS: X-Amz-Expires is at most 604,800 seconds, a week.
    answer = requests.get(url("get_object", Key="k", expires=604_801))
    assert (answer.status_code, code(answer)) == (400, "AuthorizationQueryParametersError")


@pytest.mark.parametrize(
    "changes",
    [
        {"X-Amz-Date": "yesterday"},
        {"X-Amz-Expires": "soon"},
        {"X-Amz-Expires": "-1"},
        {"X-Amz-Credential": "nothing"},
        {"X-Amz-Algorithm": "AWS4-HMAC-MD5"},
    ],
    ids=str,
)
def test_malformed_parameters(url, changes):
    answer = requests.get(shifted(url("get_object", Key="k"), **changes))
    assert (answer.status_code, code(answer)) == (400, "AuthorizationQueryParametersError")


def test_a_url_with_an_unknown_access_key_is_refused(server, bucket):
    stranger = s3_client(server.endpoint, access_key="AKIASTRANGER", signature_version="s3v4")
    signed = stranger.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    answer = requests.get(signed)
    assert (answer.status_code, code(answer)) == (403, "InvalidAccessKeyId")


def test_boto3_s_own_default_in_us_east_1_is_version_2_and_refused(s3, bucket):
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "a b"})
    assert "AWSAccessKeyId=" in url
    answer = requests.put(url, data=b"x")
    assert (answer.status_code, code(answer)) == (400, "InvalidRequest")
    assert "AWS4-HMAC-SHA256" in answer.text
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_version_2_where_it_is_configured(start):
    s3 = start("server", env={"CAIRN_SIGV2": "true"}).client()
    s3.create_bucket(Bucket="bucket")
    body = some_bytes(100_000)
    put = s3.generate_presigned_url("put_object", Params={"Bucket": "bucket", "Key": "a b"})
    get = s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "a b"})
    assert requests.put(put, data=body).status_code == 200
    assert requests.get(get).content == body
    answer = requests.get(get.replace("a%20b", "other"))
    assert (answer.status_code, code(answer)) == (403, "SignatureDoesNotMatch")
    answer = requests.get(get.replace("Expires=1", "Expires=2"))
    assert (answer.status_code, code(answer)) == (403, "SignatureDoesNotMatch")
    late = s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "a b"}, ExpiresIn=-60)
    answer = requests.get(late)
    assert (answer.status_code, code(answer)) == (403, "AccessDenied")
