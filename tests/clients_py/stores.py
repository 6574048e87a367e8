"""Fixtures: one store that the tests of the S3 API share, and new clusters for tests that break things."""

import itertools
import os
import shutil

import harness
import pytest

_numbers = itertools.count(1)


def pytest_sessionstart(session):
    # boto3 and the command line clients must not use the machine's own credentials or configuration.
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    if not os.path.exists(harness.BINARY):
        pytest.exit(f"no {harness.BINARY}: run `cargo build --release`, or set CAIRN_BIN", returncode=4)


def _stopped(cairn, request, directory):
    """Stops a store, checks its logs, and removes its data even if that fails."""
    try:
        cairn.stop()
        cairn.check()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory, request):
    directory = tmp_path_factory.mktemp("server")
    cairn = harness.start_server(directory)
    yield cairn
    _stopped(cairn, request, directory)


@pytest.fixture
def server(shared_server):
    """A `cairn server` that many tests share; each test uses its own buckets."""
    shared_server.mark()
    yield shared_server
    assert shared_server.gateways[0].running(), shared_server.gateways[0].log()[-5000:]
    shared_server.check()


@pytest.fixture
def s3(server):
    return server.client()


@pytest.fixture
def bucket(s3):
    """An empty bucket."""
    name = f"bucket-{next(_numbers)}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def start(tmp_path, request):
    """A function that starts a store, which stops with the test: `start("cluster", gateways=2)` or `start("server")`."""
    started = []

    def starter(kind, **options):
        directory = tmp_path / f"store{len(started)}"
        directory.mkdir()
        make = {"cluster": harness.start_cluster, "server": harness.start_server}[kind]
        cairn = make(directory, **options)
        started.append((cairn, directory))
        return cairn

    yield starter
    for cairn, directory in started:
        _stopped(cairn, request, directory)


@pytest.fixture
def make(start):
    """Starts a cluster and creates a bucket in it."""

    def maker(**options):
        cluster = start("cluster", **options)
        cluster.client().create_bucket(Bucket="bucket")
        return cluster

    return maker


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the ends of the logs of the store that a failed test used to its report."""
    report = yield
    if report.failed:
        for name in ("shared_server", "cluster"):
            if cairn := item.funcargs.get(name) if hasattr(item, "funcargs") else None:
                for process in cairn.processes:
                    report.sections.append((process.log_path.name, process.log()[-3000:]))
    return report
