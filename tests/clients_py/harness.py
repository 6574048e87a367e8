"""Starts the real `cairn` binary as separate processes, watches their logs, stops and kills them."""

import contextlib
import json
import os
import pathlib
import queue
import re
import secrets
import signal
import subprocess
import tarfile
import threading
import time

import boto3
import botocore.config

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("CAIRN_BIN", str(ROOT / "target/release/cairn"))

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REGION = "us-east-1"

# A start includes migrations and fsyncs, which take some seconds on a machine that is busy with other tests.
READY_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 60

READY = re.compile(r"ready on .*?(https?://[^\s/]+)")
ANSI = re.compile(r"\x1b\[[0-9;]*m")
# A panic, or a warning that a part logs with `fault=self`: something went wrong in the part itself.
FAULT = re.compile(r"panicked at|fault=.?self")

# Short times, so that a dead node counts as dead within seconds.
FAST_TIMINGS = {
    "CAIRN_HEARTBEAT_INTERVAL": "200ms",
    "CAIRN_STALE_AFTER": "1s",
    "CAIRN_DEAD_AFTER": "3s",
}


class StartFailure(Exception):
    """A process ended before it logged that it was ready."""

    def __init__(self, process):
        super().__init__(f"{process.name} ended with {process.exit_code()}:\n{process.log()}")
        self.process = process


class Process:
    """One running `cairn` subcommand; its stdout and stderr go to one log."""

    def __init__(self, name, args, env, directory):
        self.name = name
        self.args = [BINARY, *args]
        self.directory = pathlib.Path(directory)
        self.log_path = self.directory / f"{name}.log"
        self.url = None
        # The caller's own settings for Cairn and AWS must not change what the test sees.
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("CAIRN_", "AWS_"))}
        self.env.update(env, NO_COLOR="1", RUST_BACKTRACE="1")
        self._start()

    def _start(self):
        self._ready = queue.Queue()
        self.child = subprocess.Popen(
            self.args,
            env=self.env,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        reading = (self.child.stdout, self._ready)
        self._reader = threading.Thread(target=self._read, args=reading, daemon=True)
        self._reader.start()

    def _read(self, stream, ready):
        """Copies the output to the log file. Puts the URL of the `ready on` line into `ready`, and None at the end."""
        with open(self.log_path, "a", buffering=1) as log:
            for line in stream:
                line = ANSI.sub("", line)
                log.write(line)
                if found := READY.search(line):
                    ready.put(found.group(1))
        ready.put(None)

    def wait_ready(self):
        try:
            url = self._ready.get(timeout=READY_TIMEOUT_SECONDS)
        except queue.Empty:
            raise AssertionError(f"{self.name} is not ready:\n{self.log()}") from None
        if url is None:
            self.child.wait()
            raise StartFailure(self)
        self.url = url
        return self

    @property
    def pid(self):
        return self.child.pid

    @property
    def port(self):
        return int(self.url.rsplit(":", 1)[1])

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def exit_code(self, timeout=STOP_TIMEOUT_SECONDS):
        return self.child.wait(timeout)

    def running(self):
        return self.child.poll() is None

    def terminate(self):
        self.child.send_signal(signal.SIGTERM)

    def kill(self):
        """Sends SIGKILL, so that the process cannot flush anything, and waits for its end."""
        self.child.kill()
        self.child.wait()
        self._reader.join(STOP_TIMEOUT_SECONDS)

    def suspend(self):
        """Sends SIGSTOP: the process keeps its connections and answers no request."""
        self.child.send_signal(signal.SIGSTOP)

    def resume(self):
        self.child.send_signal(signal.SIGCONT)

    def stop(self):
        """Sends SIGTERM and returns the exit code. A process that does not end in time is killed, and the test fails."""
        if self.running():
            self.terminate()
        try:
            code = self.child.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop:\n{self.log()[-5000:]}") from None
        self._reader.join(STOP_TIMEOUT_SECONDS)
        return code

    def restart(self):
        """Starts the same command again, on the same port."""
        listen = self.args.index("--listen") + 1
        self.args[listen] = self.url.split("://")[1]
        self._start()
        return self.wait_ready()

    def memory_mib(self, figure="VmRSS"):
        """The resident memory of the process, or another figure of its memory (proc(5)), in MiB."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"{figure}:\s+(\d+) kB", status).group(1)) / 1024

    def memory_peak_mib(self):
        """The peak resident memory of the process, in MiB."""
        return self.memory_mib("VmHWM")

    def cpu_seconds(self):
        """The CPU time of all threads that are there, in seconds (proc(5), schedstat)."""
        threads = pathlib.Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9

    def faults(self, since=0, expected=None):
        """The lines of the log, from character `since` on, that match FAULT and not the pattern `expected`."""
        faults = [line for line in self.log()[since:].splitlines() if FAULT.search(line)]
        return [line for line in faults if not (expected and re.search(expected, line))]


class Events:
    """A stream of events. Each event is returned once."""

    def __init__(self, stream):
        self._queue = queue.Queue()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream):
        # The end of `Cairn.events` closes the stream while this thread may be reading it.
        with contextlib.suppress(ValueError):
            for line in stream:
                if line.strip():
                    self._queue.put(json.loads(line))
        self._queue.put(None)

    def wait_for(self, name, timeout=60, **fields):
        """Waits for the next event with this name and these fields; drops the events before it."""
        deadline = time.monotonic() + timeout
        seen = []
        while True:
            try:
                event = self._queue.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {name} {fields} within {timeout} s; seen: {seen[-20:]}") from None
            assert event is not None, f"the events ended without {name} {fields}"
            if self._is(event, name, fields):
                return event
            seen.append(event)

    def so_far(self, name, **fields):
        """Returns the events with this name and these fields that have arrived, without waiting; drops the others."""
        found = []
        with contextlib.suppress(queue.Empty):
            while (event := self._queue.get_nowait()) is not None:
                if self._is(event, name, fields):
                    found.append(event)
        return found

    @staticmethod
    def _is(event, name, fields):
        return event["event"] == name and all(event.get(k) == v for k, v in fields.items())


class Cairn:
    """The processes of one store: either one `cairn server`, or the parts of a cluster."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.processes = []
        self.gateways = []
        self.datanodes = []
        self.metanode = None
        self._marks = {}
        self.secret = {}
        self.env = {}
        self.directories = {}
        # A pattern of warnings that the test provokes, such as those about a full disk.
        self.expected_faults = None

    def run(self, name, args, env):
        process = Process(name, args, env, self.directory)
        self.processes.append(process)
        return process.wait_ready()

    def start_only(self, name, args, env):
        """Starts a process without waiting until it is ready, because it may never be."""
        process = Process(name, args, env, self.directory)
        self.processes.append(process)
        return process

    @property
    def endpoint(self):
        return self.gateways[0].url

    @property
    def port(self):
        return self.gateways[0].port

    def client(self, gateway=0, **config):
        return s3_client(self.gateways[gateway].url, **config)

    @property
    def which(self):
        """The arguments by which a command finds this store."""
        if self.metanode:
            return ["--metanode", self.metanode.url]
        return ["--data-dir", str(self.directory / "data")]

    def admin(self, *args, timeout=60):
        """Runs `cairn admin …` against this cluster's metanode and returns its standard output. It must succeed."""
        done = run_cairn(["admin", *args, *self.which], self.secret, timeout)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def data_directory(self, name):
        """The data directory of the part of this name."""
        return self.directories.get(name, self.directory / name)

    def add_datanode(self, *directories, zone=None, env=None):
        """Starts another datanode, in its own zone unless `zone` names one."""
        number = len(self.datanodes)
        name = f"datanode{number}"
        directories = directories or [self.data_directory(name)]
        args = ["datanode", "--data-dir", ",".join(map(str, directories)), "--listen", "127.0.0.1:0"]
        args += ["--metanode", self.metanode.url, "--zone", zone or f"zone{number}"]
        process = self.run(name, args, self.env | (env or {}))
        self.datanodes.append(process)
        return process

    def node(self, datanode):
        """The datanode's entry in the cluster's status, or None before it has registered."""
        nodes = [node for node in self.status()["nodes"] if node["address"] == datanode.url]
        return nodes[0] if nodes else None

    def admin_json(self, *args, timeout=60):
        """Runs `cairn admin … --json` and returns its output, whatever the exit code: 2 means findings, not failure."""
        done = run_cairn(["admin", *args, "--json", *self.which], self.secret, timeout)
        assert done.stdout.strip(), done.stderr
        return json.loads(done.stdout)

    def status(self):
        """The output of `cairn admin status --json`."""
        return self.admin_json("status")

    def fully_replicated(self):
        """Whether there is a block, and no block is under-replicated or missing."""
        status = self.status()
        return status["blocks"] > 0 and status["under_replicated"] == status["missing"] == 0

    @contextlib.contextmanager
    def events(self):
        """Yields the metanode's events, past and future, as `Events`."""
        command = [BINARY, "admin", "events", "--follow", "--json", "--metanode", self.metanode.url]
        with subprocess.Popen(
            command, env=os.environ | self.secret, stdout=subprocess.PIPE, text=True
        ) as child:
            try:
                yield Events(child.stdout)
            finally:
                child.kill()

    def mark(self):
        """Remembers the lengths of the logs, so that `check` looks only at later lines."""
        self._marks = {p.name: len(p.log()) for p in self.processes}

    def check(self):
        """Fails if a process logged a panic or `fault=self` since the mark."""
        faults = {p.name: p.faults(self._marks.get(p.name, 0), self.expected_faults) for p in self.processes}
        faults = {name: lines for name, lines in faults.items() if lines}
        assert not faults, f"found in the logs: {faults}"

    def stop(self):
        """Stops all processes, gateways first. Fails if one does not stop by SIGTERM in time."""
        errors = []
        for process in [*self.gateways, *self.datanodes, *([self.metanode] if self.metanode else [])]:
            if process in self.processes and process.running():
                try:
                    process.stop()
                except AssertionError as error:
                    errors.append(str(error))
        for process in self.processes:
            if process.running():
                process.kill()
        assert not errors, errors


def credentials():
    return {
        "CAIRN_ROOT_ACCESS_KEY": ACCESS_KEY,
        "CAIRN_ROOT_SECRET_KEY": SECRET_KEY,
        "CAIRN_REGION": REGION,
    }


def start_server(directory, datanodes=1, env=None, archive=None):
    """Starts `cairn server`: all parts in one process. `archive` has a data directory to start on."""
    cairn = Cairn(directory)
    if archive:
        with tarfile.open(archive) as data:
            data.extractall(cairn.directory, filter="data")
    args = ["server", "--data-dir", str(cairn.directory / "data"), "--listen", "127.0.0.1:0"]
    args += ["--datanodes", str(datanodes)]
    try:
        server = cairn.run("server", args, credentials() | (env or {}))
    except BaseException:
        cairn.stop()
        raise
    cairn.gateways.append(server)
    return cairn


def start_cluster(directory, datanodes=3, gateways=1, replication=3, env=None, directories=None):
    """Starts one metanode, datanodes and gateways, each as its own process.

    `directories` maps names of parts to data directories outside `directory`.
    """
    cairn = Cairn(directory)
    cairn.directories = directories or {}
    cairn.secret = {"CAIRN_CLUSTER_SECRET": secrets.token_hex(32)}
    env = cairn.env = cairn.secret | FAST_TIMINGS | (env or {})
    listen = ["--listen", "127.0.0.1:0"]
    try:
        cairn.metanode = cairn.run(
            "metanode",
            ["metanode", "--data-dir", str(cairn.data_directory("metanode")), *listen],
            env | credentials() | {"CAIRN_REPLICATION": str(replication)},
        )
        metanode = ["--metanode", cairn.metanode.url]
        for _ in range(datanodes):
            cairn.add_datanode()
        for n in range(gateways):
            args = ["gateway", *listen, *metanode]
            gateway = cairn.run(f"gateway{n}", args, env | {"CAIRN_REGION": REGION})
            cairn.gateways.append(gateway)
    except BaseException:
        cairn.stop()
        raise
    return cairn


def s3_client(endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY, region=REGION, **config):
    """A boto3 client with its default settings, apart from the address, long time-outs and retries, which would hide errors."""
    config.setdefault("retries", {"total_max_attempts": 1})
    config.setdefault("s3", {"addressing_style": "path"})
    config.setdefault("max_pool_connections", 100)
    config.setdefault("read_timeout", 120)
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name=region,
        config=botocore.config.Config(**config),
    )


def run_cairn(args, env=None, timeout=60, directory=None):
    """Runs a `cairn` command to its end; returns a `CompletedProcess` with text."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("CAIRN_", "AWS_"))}
    return subprocess.run(
        [BINARY, *args],
        env=clean | {"NO_COLOR": "1"} | (env or {}),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def wait_until(condition, what, timeout=60, interval=0.05):
    """Polls `condition()` until it returns something true, and returns that. `what` names it in the failure."""
    deadline = time.monotonic() + timeout
    while True:
        if result := condition():
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(interval)
