"""`docker compose up` with the committed Dockerfile and compose.yaml, also while a container is killed.

On a machine that reaches no image registry, base-images.sh makes stand-ins for the base images.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROJECT = f"cairn-test-{os.getpid()}"
DATANODES = ["datanode1", "datanode2", "datanode3"]


def run(*command, check=True, env=None, timeout=300, **options):
    done = subprocess.run(
        [str(c) for c in command],
        cwd=ROOT,
        env=os.environ | (env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        **options,
    )
    if check and done.returncode != 0:
        raise AssertionError(
            f"{command} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
    return done


def compose_command():
    if shutil.which("docker") is None or run("docker", "info", check=False).returncode != 0:
        pytest.skip("no Docker engine runs on this machine")
    if run("docker", "compose", "version", check=False).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    pytest.skip("this machine has no docker compose")


class Compose:
    """The composed store, with its own project name and port."""

    def __init__(self, command):
        self.command = [*command, "--project-name", PROJECT]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def __call__(self, *args, **options):
        return run(*self.command, *args, env={"CAIRN_PORT": str(self.port)}, **options)

    def container(self, service):
        return self("ps", "--quiet", service).stdout.strip()

    def inspect(self, service, template):
        return run("docker", "inspect", "--format", template, self.container(service)).stdout.strip()

    def wait_healthy(self, services, timeout=120):
        deadline = time.monotonic() + timeout
        waiting = set(services)
        while waiting:
            waiting = {s for s in waiting if self.inspect(s, "{{.State.Health.Status}}") != "healthy"}
            if waiting and time.monotonic() > deadline:
                raise AssertionError(f"not healthy: {waiting}\n{self('logs', check=False).stdout[-5000:]}")
            time.sleep(0.2 if waiting else 0)


@pytest.fixture(scope="module")
def image():
    command = compose_command()
    print(run("tests/compose/base-images.sh", timeout=600).stdout)
    # All services use the same image, so it is built for one of them.
    run(
        *command,
        "build",
        "secret",
        timeout=1_800,
        env={"DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "0"},
    )
    return command


@pytest.fixture(scope="module")
def compose(image):
    compose = Compose(image)
    try:
        compose("up", "--detach", "--no-build")
        compose.wait_healthy(["metanode", *DATANODES, "gateway"])
        yield compose
    finally:
        compose("down", "--volumes", "--timeout", "10", check=False)


@pytest.fixture(scope="module")
def aws(compose):
    """aws-cli, with the credentials that the metanode generated."""
    shown = compose("exec", "-T", "metanode", "cairn", "admin", "credentials").stdout
    env = dict(re.findall(r"(AWS_[A-Z_]+)=(\S+)", shown))
    env |= {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    program = [
        sys.executable,
        pathlib.Path(sys.executable).parent / "aws",
        "--endpoint-url",
        compose.endpoint,
    ]

    def aws(*args, **options):
        return run(*program, *args, env=env, **options)

    aws("s3", "mb", "s3://bucket")
    return aws


def test_the_image_is_small_unprivileged_and_has_no_shell(image):
    size = int(run("docker", "image", "inspect", "--format", "{{.Size}}", "cairn:local").stdout)
    # The image holds the C library and the binary, and most of it is the binary's line tables.
    assert size < 200_000_000
    assert (
        run("docker", "image", "inspect", "--format", "{{.Config.User}}", "cairn:local").stdout.strip()
        == "65532:65532"
    )
    shell = run("docker", "run", "--rm", "--entrypoint", "/bin/sh", "cairn:local", "-c", "true", check=False)
    assert shell.returncode != 0
    assert run("docker", "run", "--rm", "cairn:local", "--version").stdout.startswith("cairn ")


def test_the_image_alone_is_a_working_store(image):
    name = f"{PROJECT}-alone"
    run("docker", "run", "--detach", "--name", name, "--publish", "127.0.0.1::9000", "cairn:local")
    try:
        deadline = time.monotonic() + 60
        health = ["cairn", "admin", "health", "--url", "http://127.0.0.1:9000/_cairn/health"]
        while run("docker", "exec", name, *health, check=False).returncode != 0:
            assert time.monotonic() < deadline, run("docker", "logs", name).stderr
            time.sleep(0.2)
        assert run("docker", "stop", "--time", "30", name)
        assert run("docker", "inspect", "--format", "{{.State.ExitCode}}", name).stdout.strip() == "0"
    finally:
        run("docker", "rm", "--force", "--volumes", name)


def test_the_parts_start_in_order_and_unprivileged(compose):
    assert compose.inspect("secret", "{{.State.ExitCode}}") == "0"
    for service in ("metanode", *DATANODES, "gateway"):
        assert compose.inspect(service, "{{.Config.User}}") == "65532:65532"
        assert compose.inspect(service, "{{.RestartCount}}") == "0"
    status = compose("exec", "-T", "metanode", "cairn", "admin", "status").stdout
    assert status.count(" live ") == 3, status


def test_the_parts_speak_mutual_tls_with_each_other(compose):
    status = json.loads(compose("exec", "-T", "metanode", "cairn", "admin", "status", "--json").stdout)
    assert all(node["address"].startswith("https://datanode") for node in status["nodes"])

    def health(url, *options):
        return compose("exec", "-T", "metanode", "cairn", "admin", "health", "--url", url, *options, check=False)

    for host in ("metanode:9010", "datanode1:9020", "datanode2:9020", "datanode3:9020"):
        assert health(f"https://{host}/health").returncode == 0
        plain = health(f"http://{host}/health")
        assert plain.returncode == 1 and "This port speaks TLS" in plain.stderr, plain.stderr
        # A caller with another secret is refused. Any file of the image serves as that secret.
        other = health(f"https://{host}/health", "--cluster-secret-file", "/etc/passwd")
        assert other.returncode == 1 and "it refuses our certificate" in other.stderr, other.stderr


def test_no_secret_is_a_default_one(compose):
    container = compose.container("metanode")
    archive = run("docker", "cp", f"{container}:/secret/cluster.key", "-").stdout
    secret = re.search(r"[0-9A-Za-z+/=_-]{32,}", archive)
    assert secret, "the secret's volume holds no secret"
    assert secret.group(0) not in (ROOT / "compose.yaml").read_text()
    # A second run of the service `secret` keeps the secret.
    assert "kept" in compose("run", "--rm", "secret").stdout
    assert run("docker", "cp", f"{container}:/secret/cluster.key", "-").stdout == archive


def test_in_and_out_with_a_datanode_s_container_killed(compose, aws, tmp_path):
    body = os.urandom(60_000_000)
    (tmp_path / "in").write_bytes(body)
    aws("s3", "cp", tmp_path / "in", "s3://bucket/before")

    victim = compose.container("datanode2")
    killer = threading.Timer(0.7, lambda: run("docker", "kill", "--signal", "KILL", victim))
    killer.start()
    for n in range(3):
        aws("s3", "cp", tmp_path / "in", f"s3://bucket/during{n}")
        aws("s3", "cp", "s3://bucket/before", tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == body
    killer.join()
    assert run("docker", "inspect", "--format", "{{.State.Running}}", victim).stdout.strip() == "false"

    for n in range(3):
        aws("s3", "cp", f"s3://bucket/during{n}", tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == body
    aws("s3", "cp", tmp_path / "in", "s3://bucket/after")
    compose("start", "datanode2")
    compose.wait_healthy(["datanode2"])


def test_everything_is_there_after_down_and_up(compose, aws, tmp_path):
    (tmp_path / "in").write_bytes(b"kept")
    aws("s3", "cp", tmp_path / "in", "s3://bucket/kept")
    compose("down")
    compose("up", "--detach", "--no-build")
    compose.wait_healthy(["metanode", *DATANODES, "gateway"])
    # The credentials are unchanged.
    assert aws("s3", "cp", "s3://bucket/kept", "-").stdout == "kept"
