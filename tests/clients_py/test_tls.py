"""TLS on the S3 port, with a self-signed certificate."""

import http.client
import socket
import ssl
import subprocess

import botocore.exceptions
import pytest
from data import MIB, some_bytes
from people import allow, policy


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate for 127.0.0.1, and its key."""
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", files[0], "-keyout", files[1]]
    subprocess.run(command, check=True, capture_output=True)
    return files


@pytest.fixture
def store(start, certificate):
    cert, key = certificate
    return start("server", env={"CAIRN_TLS_CERT": str(cert), "CAIRN_TLS_KEY": str(key)})


def test_a_client_that_trusts_the_certificate(store, certificate, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate[0]))
    s3 = store.client()
    s3.create_bucket(Bucket="secure")
    body = some_bytes(9 * MIB)
    # Over TLS, boto3 sends an unsigned payload with its checksum in a trailer by default.
    put = s3.put_object(Bucket="secure", Key="k", Body=body)
    assert put["ChecksumCRC32"]
    assert s3.get_object(Bucket="secure", Key="k")["Body"].read() == body
    upload = s3.create_multipart_upload(Bucket="secure", Key="m")["UploadId"]
    part = s3.upload_part(Bucket="secure", Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    done = s3.complete_multipart_upload(
        Bucket="secure", Key="m", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert done["Location"] == f"{store.gateways[0].url}/secure/m"


def test_a_client_that_does_not_trust_it_sends_nothing(store):
    with pytest.raises(botocore.exceptions.SSLError):
        store.client().list_buckets()


def test_a_policy_asks_for_the_version_of_tls(store, certificate, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate[0]))
    s3 = store.client()
    s3.create_bucket(Bucket="secure")
    s3.put_object(Bucket="secure", Key="k", Body=b"x")
    s3.delete_public_access_block(Bucket="secure")
    condition = {"NumericGreaterThanEquals": {"s3:TlsVersion": "1.3"}}
    everyone = allow("s3:GetObject", "arn:aws:s3:::secure/*", Principal="*", Condition=condition)
    s3.put_bucket_policy(Bucket="secure", Policy=policy(everyone))

    def status(version):
        context = ssl.create_default_context(cafile=certificate[0])
        context.minimum_version = context.maximum_version = version
        connection = http.client.HTTPSConnection("127.0.0.1", store.port, context=context, timeout=60)
        connection.request("GET", "/secure/k")
        return connection.getresponse().status

    assert status(ssl.TLSVersion.TLSv1_3) == 200
    assert status(ssl.TLSVersion.TLSv1_2) == 403


def test_http_2_is_offered(store, certificate):
    context = ssl.create_default_context(cafile=certificate[0])
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", store.gateways[0].port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        assert secure.selected_alpn_protocol() == "h2"


def test_plain_http_is_refused_on_a_tls_port(store):
    with socket.create_connection(("127.0.0.1", store.gateways[0].port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not connection.recv(100).startswith(b"HTTP/1.1 200")
