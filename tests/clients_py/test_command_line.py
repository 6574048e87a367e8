"""The `cairn` command: its output, and one clear sentence for each mistake."""

import os
import pathlib
import re
import socket
import subprocess
import sys

import harness
import pytest
import requests
from errors import s3_error
from harness import ACCESS_KEY, SECRET_KEY, run_cairn, s3_client, start_server, wait_until
from raw import Raw

SECRET = {"CAIRN_CLUSTER_SECRET": "0123456789abcdef0123456789abcdef"}


def complaint(done):
    """The only error line of a command that failed."""
    assert done.returncode not in (0, None), done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("cairn: ")]
    assert len(lines) == 1, done.stderr
    assert "panicked" not in done.stderr
    return lines[0]


def test_a_server_with_nothing_but_its_defaults(tmp_path):
    """The README promises that the server prints the endpoint, credentials, and lines to paste into a shell."""
    if socket.socket().connect_ex(("127.0.0.1", 9000)) == 0:
        pytest.skip("something listens on 127.0.0.1:9000")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("CAIRN_", "AWS_"))}
    directory = tmp_path / "fresh"
    directory.mkdir()
    with subprocess.Popen(
        [harness.BINARY, "server"],
        cwd=directory,
        env=clean,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        try:
            seen = ""
            for line in child.stdout:
                seen += line
                if "aws " in line:
                    break
            assert "http://127.0.0.1:9000" in seen
            assert (directory / "cairn-data").is_dir()
            exports = dict(re.findall(r"(AWS_[A-Z_]+)=(\S+)", seen))
            assert exports.keys() >= {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}, seen
            client = s3_client(
                "http://127.0.0.1:9000", exports["AWS_ACCESS_KEY_ID"], exports["AWS_SECRET_ACCESS_KEY"]
            )
            client.create_bucket(Bucket="bucket")
            # The printed lines work in a shell unchanged.
            pasted = "\n".join(line for line in seen.splitlines() if line.startswith("  "))
            path = f"{pathlib.Path(sys.executable).parent}:{clean['PATH']}"
            done = subprocess.run(
                ["sh", "-e", "-c", pasted],
                env=clean | {"PATH": path, "AWS_PAGER": ""},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, (pasted, done.stderr)
        finally:
            child.terminate()
        assert child.wait(30) == 0


def test_credentials_are_made_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "credentials", dict)
    seen = []
    for _ in range(2):
        store = harness.start_server(tmp_path)
        exported = run_cairn(["admin", "credentials", "--data-dir", str(tmp_path / "data")]).stdout
        seen.append(dict(re.findall(r"(AWS_[A-Z_]+)=(\S+)", exported)))
        secret = seen[-1]["AWS_SECRET_ACCESS_KEY"]
        s3_client(store.endpoint, seen[-1]["AWS_ACCESS_KEY_ID"], secret).list_buckets()
        with s3_error("InvalidAccessKeyId", 403):
            s3_client(store.endpoint).list_buckets()
        store.stop()
    assert seen[0] == seen[1]
    # Both starts wrote to the same log, and only the first one printed the secret.
    assert store.processes[0].log().count(secret) == 1


def test_the_default_bucket_exists_after_the_start(start):
    store = start("server", env={"CAIRN_DEFAULT_BUCKET": "there-from-the-start"})
    store.client().head_bucket(Bucket="there-from-the-start")


def test_a_port_in_use(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_cairn(["server", "--data-dir", str(tmp_path), "--listen", f"127.0.0.1:{port}"])
    assert f"127.0.0.1:{port}" in complaint(done)


def test_an_unwritable_data_directory(tmp_path):
    file = tmp_path / "file"
    file.write_text("in the way")
    # Even root cannot create a directory in /proc.
    for directory in (file, file / "below", "/proc/cairn"):
        done = run_cairn(["server", "--data-dir", str(directory), "--listen", "127.0.0.1:0"])
        assert str(directory) in complaint(done)


def test_a_second_process_on_the_same_directory(tmp_path):
    first = start_server(tmp_path)
    try:
        done = run_cairn(["server", "--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0"])
        assert str(tmp_path / "data") in complaint(done)
        first.client().list_buckets()
    finally:
        first.stop()


def test_a_second_process_on_a_part_s_directory(start):
    cluster = start("cluster", datanodes=1, replication=1)
    for part in (cluster.metanode, cluster.datanodes[0]):
        args = [a if a != part.url.removeprefix("http://") else "127.0.0.1:0" for a in part.args[1:]]
        done = run_cairn(args, cluster.secret)
        assert str(cluster.directory) in complaint(done)


def test_a_datanode_with_another_cluster_s_data_is_refused(start):
    one = start("cluster", datanodes=1, replication=1)
    other = start("cluster", datanodes=0)
    node = one.datanodes[0]
    node.stop()
    args = ["datanode", "--data-dir", str(one.directory / "datanode0"), "--listen", "127.0.0.1:0"]
    done = run_cairn([*args, "--metanode", other.metanode.url], other.secret)
    assert "cluster" in complaint(done)


def test_parts_with_another_secret_log_the_refusal_and_are_never_healthy(start):
    cluster = start("cluster", datanodes=1, replication=1)
    # A gateway without credentials never logs its address, so the test chooses the port.
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    stranger = harness.Process(
        "stranger",
        ["datanode", "--data-dir", str(cluster.directory / "stranger"), "--listen", "127.0.0.1:0"]
        + ["--metanode", cluster.metanode.url],
        SECRET,
        cluster.directory,
    )
    intruder = harness.Process(
        "intruder",
        ["gateway", "--listen", f"127.0.0.1:{port}", "--metanode", cluster.metanode.url],
        SECRET,
        cluster.directory,
    )
    try:
        stranger.wait_ready()
        for part, health in (
            (stranger, f"{stranger.url}/health"),
            (intruder, f"http://127.0.0.1:{port}/_cairn/health"),
        ):
            wait_until(lambda p=part: "another cluster secret" in p.log(), "the refusal to be logged")
            assert run_cairn(["admin", "health", "--url", health]).returncode != 0
        answer = requests.get(f"http://127.0.0.1:{port}/_cairn/health")
        assert answer.status_code == 503 and "who may ask" in answer.text
        # The S3 port answers 503, so that clients retry.
        answer = requests.get(f"http://127.0.0.1:{port}/bucket")
        assert answer.status_code == 503 and "<Code>ServiceUnavailable</Code>" in answer.text
        assert "cairn gateway ready" not in intruder.log()
        for part in (stranger, intruder):
            # The parts wait for the metanode to accept their secret. They stop cleanly while they wait.
            assert part.stop() == 0
    finally:
        for part in (stranger, intruder):
            if part.running():
                part.kill()
    assert len(cluster.status()["nodes"]) == 1
    done = run_cairn(["admin", "status", "--metanode", cluster.metanode.url], SECRET)
    assert "secret" in complaint(done)


def test_parts_without_a_secret_do_not_start(tmp_path):
    for part in (
        ["metanode", "--data-dir", str(tmp_path / "m")],
        ["datanode", "--data-dir", str(tmp_path / "d")],
        ["gateway"],
    ):
        assert "no cluster secret" in complaint(run_cairn([*part, "--listen", "127.0.0.1:0"]))
    done = run_cairn(["gateway", "--listen", "127.0.0.1:0"], {"CAIRN_CLUSTER_SECRET": "short"})
    assert "secret" in complaint(done)


def test_internal_ports_refuse_requests_without_the_secret(start):
    cluster = start("cluster", datanodes=1, replication=1)
    for health in (
        f"{cluster.metanode.url}/health",
        f"{cluster.datanodes[0].url}/health",
        f"{cluster.endpoint}/_cairn/health",
    ):
        # A datanode listens before it has registered. It is healthy only after that.
        wait_until(lambda url=health: requests.get(url).status_code == 200, f"{health} to be healthy")
    block = "0192a3b4-c5d6-7e8f-9012-3456789abcde"
    for method, url in (
        ("POST", f"{cluster.metanode.url}/v1/admin/status"),
        ("POST", f"{cluster.metanode.url}/v1/metadata/root_credentials"),
        ("GET", f"{cluster.metanode.url}/events?after=0"),
        ("GET", f"{cluster.datanodes[0].url}/v1/blocks/{block}"),
        ("PUT", f"{cluster.datanodes[0].url}/v1/blocks/{block}"),
        ("DELETE", f"{cluster.datanodes[0].url}/v1/blocks/{block}"),
    ):
        assert requests.request(method, url, json={}).status_code in (400, 401, 403), url


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["server", "--datanodes", "none"], ["--datanodes", "none"]),
        (["server", "--lisen", "127.0.0.1:0"], ["--lisen", "--listen"]),
        (["server", "--listen", "nowhere"], ["--listen", "nowhere"]),
        (["serve"], ["serve", "server"]),
        (["server", "--root-access-key", "only-half"], ["--root-secret-key"]),
        (["server", "--tls-cert", "cert.pem"], ["--tls-key"]),
        (["gateway", "--metanode", "ftp://x"], ["--metanode", "https://host:port"]),
        (["metanode", "--replication", "0"], ["--replication", "1..=16"]),
    ],
)
def test_wrong_options_are_named_with_what_is_allowed(args, words):
    done = run_cairn(args)
    assert done.returncode == 2
    for word in words:
        assert word in done.stderr


def test_help_and_version():
    assert re.fullmatch(r"cairn \d+\.\d+\.\d+\n", run_cairn(["--version"]).stdout)
    for args in ([], ["server"], ["gateway"], ["metanode"], ["datanode"], ["admin"]):
        done = run_cairn([*args, "--help"])
        assert done.returncode == 0 and "Usage: cairn" in done.stdout


def test_environment_variables_set_options(tmp_path, start):
    store = start("server", env={"CAIRN_REGION": "eu-test-1"})
    client = s3_client(store.endpoint, ACCESS_KEY, SECRET_KEY, region="eu-test-1")
    client.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-test-1"})
    assert client.get_bucket_location(Bucket="bucket")["LocationConstraint"] == "eu-test-1"
    # A flag overrides the environment.
    done = run_cairn(
        ["server", "--listen", "nowhere", "--data-dir", str(tmp_path)], {"CAIRN_LISTEN": "127.0.0.1:0"}
    )
    assert "nowhere" in done.stderr


def test_buckets_in_the_host_name(start):
    store = start("server", env={"CAIRN_DOMAIN": "s3.localhost"})
    store.client().create_bucket(Bucket="virtual")
    store.client().put_object(Bucket="virtual", Key="k", Body=b"x")
    raw = Raw(store.port)
    raw.host = f"virtual.s3.localhost:{store.port}"
    assert raw.send("GET", "/k").body == b"x"
    raw.host = f"s3.localhost:{store.port}"
    assert raw.send("GET", "/virtual/k").body == b"x"
