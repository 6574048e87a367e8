"""minio-py, the SDK of MinIO's users."""

import datetime
import io
import urllib.request

import minio
import minio.commonconfig
import minio.deleteobjects
import pytest
from data import MIB, some_bytes
from harness import ACCESS_KEY, REGION, SECRET_KEY

HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def client(server):
    address = server.endpoint.removeprefix("http://")
    return minio.Minio(address, access_key=ACCESS_KEY, secret_key=SECRET_KEY, region=REGION, secure=False)


def test_buckets(client):
    client.make_bucket("minio-bucket")
    assert client.bucket_exists("minio-bucket") and not client.bucket_exists("no-such-bucket")
    assert "minio-bucket" in [bucket.name for bucket in client.list_buckets()]
    client.remove_bucket("minio-bucket")


def test_objects_in_one_piece_and_in_parts(client, bucket):
    body = some_bytes(21 * MIB)
    client.put_object(bucket, "small", io.BytesIO(b"hello"), 5, content_type="text/plain", metadata={"colour": "red"})
    # The length is unknown (-1), so minio-py uploads in parts.
    client.put_object(bucket, "d/large", io.BytesIO(body), -1, part_size=5 * MIB)
    found = client.stat_object(bucket, "small")
    assert (found.size, found.content_type, found.metadata["x-amz-meta-colour"]) == (5, "text/plain", "red")
    with client.get_object(bucket, "d/large", offset=MIB, length=2 * MIB) as answer:
        assert answer.read() == body[MIB : 3 * MIB]
    assert {o.object_name for o in client.list_objects(bucket)} == {"d/", "small"}
    assert {o.object_name for o in client.list_objects(bucket, recursive=True)} == {"d/large", "small"}
    source = minio.commonconfig.CopySource(bucket, "d/large")
    client.copy_object(bucket, "copy", source)
    parts = [minio.commonconfig.ComposeSource(bucket, "d/large"), minio.commonconfig.ComposeSource(bucket, "small")]
    client.compose_object(bucket, "composed", parts)
    with client.get_object(bucket, "composed") as answer:
        assert answer.read() == body + b"hello"


def test_tags_links_and_deletes(client, bucket):
    client.put_object(bucket, "k", io.BytesIO(b"x"), 1)
    tags = minio.commonconfig.Tags.new_object_tags()
    tags["team"] = "blue"
    client.set_object_tags(bucket, "k", tags)
    assert client.get_object_tags(bucket, "k") == {"team": "blue"}
    client.delete_object_tags(bucket, "k")
    url = client.presigned_put_object(bucket, "uploaded", expires=HOUR)
    urllib.request.urlopen(urllib.request.Request(url, data=b"through a link", method="PUT"))
    link = client.presigned_get_object(bucket, "uploaded", expires=HOUR)
    assert urllib.request.urlopen(link).read() == b"through a link"
    names = [minio.deleteobjects.DeleteObject(name) for name in ("k", "uploaded", "never was")]
    assert list(client.remove_objects(bucket, names)) == []
    assert list(client.list_objects(bucket)) == []
