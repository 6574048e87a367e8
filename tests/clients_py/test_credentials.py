"""Credentials: root secrets in files, their rotation while gateways run, and Signature Version 2."""

import time

import errors
import harness
import pytest
import requests
from harness import ACCESS_KEY, SECRET_KEY, run_cairn, s3_client, wait_until

SECOND_SECRET = "the second secret of this cluster"
# gateway/src/credentials.rs: a gateway uses a secret for five seconds after the metanode has sent it.
STALE_SECONDS = 5


def outcome(endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY):
    return errors.outcome(s3_client(endpoint, access_key, secret_key).list_buckets)


def test_a_rotated_root_secret_reaches_gateways_that_run(start):
    """A gateway fetched the credentials once, when it started. After a rotation it refused requests that were signed with the
    new secret, and accepted the old one, until it was restarted."""
    cluster = start("cluster", datanodes=1, replication=1, gateways=2)
    endpoints = [gateway.url for gateway in cluster.gateways]
    assert [outcome(endpoint) for endpoint in endpoints] == ["ok", "ok"]

    cluster.metanode.stop()
    cluster.metanode.env["CAIRN_ROOT_SECRET_KEY"] = SECOND_SECRET
    cluster.metanode.restart()
    began = time.monotonic()
    for endpoint in endpoints:
        # The new secret works at once: the gateway fetches the secret again for a signature that does not match.
        wait_until(lambda url=endpoint: outcome(url, secret_key=SECOND_SECRET) == "ok", "the new secret", timeout=2)
    for endpoint in endpoints:
        wait_until(lambda url=endpoint: outcome(url) == "SignatureDoesNotMatch", "the end of the old secret")
    assert time.monotonic() - began < STALE_SECONDS + 3
    assert [outcome(endpoint, secret_key=SECOND_SECRET) for endpoint in endpoints] == ["ok", "ok"]

    cluster.metanode.stop()
    cluster.metanode.env["CAIRN_ROOT_ACCESS_KEY"] = "another-root"
    cluster.metanode.restart()
    began = time.monotonic()
    for endpoint in endpoints:
        wait_until(
            lambda url=endpoint: outcome(url, "another-root", SECOND_SECRET) == "ok", "the new key", timeout=4
        )
        wait_until(
            lambda url=endpoint: outcome(url, ACCESS_KEY, SECOND_SECRET) == "InvalidAccessKeyId",
            "the end of the old key",
        )
    assert time.monotonic() - began < STALE_SECONDS + 3


def test_a_gateway_that_starts_before_the_metanode_serves_once_it_has_credentials(start):
    cluster = start("cluster", datanodes=1, replication=1)
    cluster.metanode.stop()
    args = ["gateway", "--listen", "127.0.0.1:0", "--metanode", cluster.metanode.url]
    late = harness.Process("late", args, cluster.env, cluster.directory)
    cluster.processes.append(late)
    cluster.metanode.restart()
    late.wait_ready()
    cluster.gateways.append(late)
    assert outcome(late.url) == "ok"


def server(cairn, env):
    args = ["server", "--data-dir", str(cairn.directory / "data"), "--listen", "127.0.0.1:0"]
    return cairn.run("server", args, env)


def test_a_root_secret_in_a_file_is_used_and_never_printed(tmp_path):
    secret = "a secret that stands in a file"
    file = tmp_path / "root.secret"
    file.write_text(f"{secret}\n")
    given = {"CAIRN_ROOT_ACCESS_KEY": "admin", "CAIRN_ROOT_SECRET_KEY_FILE": str(file)}
    cairn = harness.Cairn(tmp_path)
    try:
        process = server(cairn, given | {"CAIRN_LOG": "debug"})
        assert outcome(process.url, "admin", secret) == "ok"
        process.stop()
        process.restart()
        assert outcome(process.url, "admin", secret) == "ok"
    finally:
        cairn.stop()
    assert "admin" in process.log() and secret not in process.log()
    shown = run_cairn(["config", "show", "server", "--json"], given)
    assert str(file) in shown.stdout and secret not in shown.stdout


def test_a_root_secret_in_the_environment_is_never_printed(tmp_path):
    cairn = harness.Cairn(tmp_path)
    try:
        process = server(cairn, harness.credentials() | {"CAIRN_LOG": "debug"})
        assert outcome(process.url) == "ok"
    finally:
        cairn.stop()
    assert SECRET_KEY not in process.log()


@pytest.mark.parametrize("option", ["--root-secret-key", "--root-secret-key-file"])
def test_a_root_secret_that_is_refused_is_not_repeated(tmp_path, option):
    file = tmp_path / "short"
    file.write_text("hunter2")
    value = "hunter2" if option == "--root-secret-key" else str(file)
    args = ["metanode", "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "data")]
    args += ["--cluster-secret", "x" * 32, "--root-access-key", "admin", option, value]
    done = run_cairn(args)
    assert done.returncode == 1 and "8 characters or more" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_the_secret_and_its_file_exclude_each_other(tmp_path):
    args = ["server", "--root-access-key", "admin", "--root-secret-key", "correct horse"]
    done = run_cairn([*args, "--root-secret-key-file", str(tmp_path / "file")])
    assert done.returncode == 2 and "--root-secret-key-file" in done.stderr


def presigned_with_version_two(store):
    """A URL as boto3 presigns it for us-east-1 by default, valid for ten years."""
    s3 = store.client(signature_version="s3")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "k"}, ExpiresIn=315_360_000)
    assert "AWSAccessKeyId=" in url
    return url


def test_signature_version_two_is_off_unless_it_is_turned_on(start):
    store = start("server")
    store.client().create_bucket(Bucket="bucket")
    store.client().put_object(Bucket="bucket", Key="k", Body=b"body")
    refused = requests.get(presigned_with_version_two(store))
    assert refused.status_code == 400
    assert "<Code>InvalidRequest</Code>" in refused.text and "Please use AWS4-HMAC-SHA256" in refused.text

    store = start("server", env={"CAIRN_SIGV2": "true"})
    store.client().create_bucket(Bucket="bucket")
    store.client().put_object(Bucket="bucket", Key="k", Body=b"body")
    assert requests.get(presigned_with_version_two(store)).content == b"body"
