"""Mutual TLS between the parts."""

import json
import os
import socket
import ssl
import subprocess

import pytest
from data import MIB, some_bytes
from harness import SECRET_KEY, run_cairn, wait_until
from internal import Tap

TLS = {"CAIRN_INTERNAL_TLS": "on"}


def test_a_cluster_works_over_tls_as_without(start):
    """Client requests, the write pipeline, repair, heartbeats, events and operators' commands work over TLS."""
    cluster = start("cluster", datanodes=3, replication=2, env=TLS)
    parts = [cluster.metanode, *cluster.datanodes]
    assert all(part.url.startswith("https://127.0.0.1:") for part in parts)
    wait_until(lambda: len(cluster.status()["nodes"]) == 3, "the datanodes to register")
    assert all(node["address"].startswith("https://") for node in cluster.status()["nodes"])
    client = cluster.client()
    client.create_bucket(Bucket="bucket")
    bodies = {f"key{n}": some_bytes(9 * MIB, seed=n) for n in range(6)}
    for key, body in bodies.items():
        client.put_object(Bucket="bucket", Key=key, Body=body)
    wait_until(cluster.fully_replicated, "all replicas")
    assert "Good: " in cluster.admin("where", "--verify", "s3://bucket/key0")
    for part in parts:
        health = run_cairn(["admin", "health", "--url", f"{part.url}/health"], cluster.secret)
        assert health.returncode == 0, health.stderr

    # Repair works: datanodes pull blocks from one another over TLS.
    with cluster.events() as events:
        cluster.datanodes[0].kill()
        events.wait_for("NodeDead")
        wait_until(cluster.fully_replicated, "what is lost to be copied again")
    for key, body in bodies.items():
        assert client.get_object(Bucket="bucket", Key=key)["Body"].read() == body
    # The gateway reconnects after a restart of the metanode.
    cluster.metanode.kill()
    cluster.metanode.restart()
    wait_until(lambda: client.list_objects_v2(Bucket="bucket")["KeyCount"] == 6, "the gateway to go on")


def test_cairn_server_can_be_administered_over_tls(start):
    server = start("server", env=TLS)
    directory = server.directory / "data"
    assert (directory / "admin.url").read_text().startswith("https://")
    client = server.client()
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="key", Body=some_bytes(2 * MIB))
    for command in (["status"], ["where", "--verify", "s3://bucket/key"], ["events"]):
        done = run_cairn(["admin", *command, "--data-dir", str(directory)])
        assert done.returncode == 0, done.stderr
    url = (directory / "admin.url").read_text().strip()
    health = ["admin", "health", "--url", f"{url}/health"]
    assert run_cairn([*health, "--data-dir", str(directory)]).returncode == 0
    # A client without the cluster's secret has no certificate, and the handshake fails.
    stranger = run_cairn(health)
    assert stranger.returncode == 1 and "asks for a certificate" in stranger.stderr, stranger.stderr


@pytest.mark.parametrize("encrypted", [True, False])
def test_tls_hides_the_calls_between_the_parts(start, encrypted):
    """The metanode sent the root credentials to gateways as JSON in clear text, where anyone on the network could read them.
    The run without TLS finds them, which shows that the search works."""
    env = TLS if encrypted else {}
    cluster = start("cluster", datanodes=1, replication=1, gateways=0, env=env)
    tap = Tap(cluster.metanode.port)
    metanode = f"{cluster.metanode.url.split(':')[0]}://127.0.0.1:{tap.port}"
    args = ["gateway", "--listen", "127.0.0.1:0", "--metanode", metanode]
    cluster.gateways.append(cluster.run("gateway", args, cluster.env))
    cluster.client().create_bucket(Bucket="a-name-to-look-for")
    heard = tap.heard()
    assert len(heard) > 1000
    for word in (SECRET_KEY, "a-name-to-look-for", "POST /v1/"):
        assert (word.encode() in heard) is not encrypted, word
    tap.close()


def test_a_refused_connection_is_explained_in_one_sentence(start):
    cluster = start("cluster", datanodes=1, replication=1, env=TLS)
    url = cluster.metanode.url

    def status(url, **secret):
        done = run_cairn(["admin", "status", "--metanode", url], secret)
        assert done.returncode == 1
        assert done.stderr.startswith("cairn: ") and done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    other = {"CAIRN_CLUSTER_SECRET": "the secret of another cluster than this"}
    assert "give all parts the same cluster secret" in status(url, **other)
    assert "This port speaks TLS: write its address with https://" in status(url.replace("https", "http"), **cluster.secret)
    # The metanode logs the same reason for its operator.
    wait_until(lambda: "it does not speak TLS" in cluster.metanode.log() or "could not connect over TLS" in cluster.metanode.log(),
               "the metanode to say who was refused")

    plain = start("cluster", datanodes=1, replication=1)
    assert "it does not speak TLS: write its address with http://" in status(
        plain.metanode.url.replace("http", "https"), **plain.secret
    )


def test_a_client_without_a_certificate_fails_the_handshake(start):
    cluster = start("cluster", datanodes=1, replication=1, env=TLS)
    for part in (cluster.metanode, cluster.datanodes[0]):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", part.port), 60) as plain:
            # In TLS 1.3 the client's handshake ends before the server has checked the client's certificate.
            with context.wrap_socket(plain, server_hostname="x") as secure, pytest.raises(ssl.SSLError):
                secure.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                assert not secure.recv(1000)
                raise ssl.SSLError("ended without an answer")
    assert cluster.status()["nodes"]


def openssl(*args, **options):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, **options)


class Authority:
    """A certificate authority of the operator, made with openssl."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=Example CA", "-out", directory / "ca.pem", "-keyout", directory / "ca.key")

    def certify(self, to, name="cairn.internal"):
        """Writes a certificate into directory `to`. It replaces each file atomically, as tools that renew certificates do."""
        to.mkdir(exist_ok=True)
        extensions = self.directory / "extensions"
        extensions.write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth,clientAuth\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=part", "-keyout", to / "key.new", "-out", to / "csr")
        openssl("x509", "-req", "-in", to / "csr", "-CA", self.directory / "ca.pem", "-CAkey", self.directory / "ca.key",
                "-days", "2", "-extfile", extensions, "-out", to / "cert.new")
        (to / "ca.new").write_bytes((self.directory / "ca.pem").read_bytes())
        for file in ("key", "cert", "ca"):
            os.replace(to / f"{file}.new", to / f"{file}.pem")


def options(directory):
    return {
        "CAIRN_INTERNAL_TLS_CERT": str(directory / "cert.pem"),
        "CAIRN_INTERNAL_TLS_KEY": str(directory / "key.pem"),
        "CAIRN_INTERNAL_TLS_CA": str(directory / "ca.pem"),
    }


def test_replaced_certificates_of_the_operator_are_used_without_a_restart(start, tmp_path):
    first, second = Authority(tmp_path / "first"), Authority(tmp_path / "second")
    parts, admin = tmp_path / "parts", tmp_path / "admin"
    first.certify(parts)
    first.certify(admin)
    cluster = start("cluster", datanodes=1, replication=1, env=TLS | options(parts))

    def status():
        return run_cairn(["admin", "status", "--json", "--metanode", cluster.metanode.url], cluster.secret | options(admin))

    wait_until(lambda: json.loads(status().stdout)["nodes"], "the datanode to register")
    # This cluster does not trust a certificate that is derived from the secret.
    assert run_cairn(["admin", "status", "--metanode", cluster.metanode.url], cluster.secret).returncode == 1
    client = cluster.client()
    client.create_bucket(Bucket="before")

    second.certify(parts)
    second.certify(admin)
    wait_until(lambda: status().returncode == 0, "the metanode to show the new certificate")
    # The new certificate works for a gateway with open connections, and for a datanode that reconnects.
    client.put_object(Bucket="before", Key="key", Body=some_bytes(2 * MIB))
    cluster.datanodes[0].kill()
    cluster.datanodes[0].restart()
    wait_until(lambda: json.loads(status().stdout)["nodes"][0]["state"] == "live", "the datanode to be live again")
    wait_until(lambda: "another certificate is used" in cluster.gateways[0].log(), "the gateway to read them")
    assert client.get_object(Bucket="before", Key="key")["Body"].read() == some_bytes(2 * MIB)


def test_other_programs_get_a_certificate_from_the_secret(start, tmp_path):
    cluster = start("cluster", datanodes=1, replication=1, env=TLS)
    made = run_cairn(["admin", "secret", "certificate", "--to", str(tmp_path / "mine")], cluster.secret)
    assert made.returncode == 0, made.stderr
    context = ssl.create_default_context(cafile=tmp_path / "mine/ca.pem")
    context.load_cert_chain(tmp_path / "mine/cert.pem", tmp_path / "mine/key.pem")
    with (
        socket.create_connection(("127.0.0.1", cluster.metanode.port), 60) as plain,
        context.wrap_socket(plain, server_hostname="cairn.internal") as secure,
    ):
        assert secure.version() == "TLSv1.3"
        secure.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert secure.recv(1000).startswith(b"HTTP/1.1 200 OK")
    assert (tmp_path / "mine/key.pem").stat().st_mode & 0o077 == 0


def test_an_advertised_address_with_the_wrong_scheme_is_refused_at_the_start(start, tmp_path):
    cluster = start("cluster", datanodes=0, gateways=0)
    args = ["datanode", "--data-dir", str(tmp_path / "d"), "--listen", "127.0.0.1:0", "--metanode", cluster.metanode.url]
    for tls, advertise in (("on", "http://127.0.0.1:1"), ("off", "https://127.0.0.1:1")):
        done = run_cairn([*args, "--internal-tls", tls, "--advertise", advertise], cluster.secret)
        assert done.returncode == 1 and "correct --advertise, or --internal-tls" in done.stderr, done.stderr


def test_tls_is_the_default_beyond_loopback(start, tmp_path):
    cluster = start("cluster", datanodes=0, gateways=0)
    args = ["metanode", "--data-dir", str(tmp_path / "m"), "--listen", "0.0.0.0:0"]
    everywhere = cluster.run("metanode-everywhere", args, cluster.secret)
    assert everywhere.url.startswith("https://0.0.0.0:")
    url = f"https://127.0.0.1:{everywhere.port}"
    assert run_cairn(["admin", "status", "--metanode", url], cluster.secret).returncode == 0
