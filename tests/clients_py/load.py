"""Clients that write, read, copy and delete continuously, and keep a record of what each key must hold.

An operation that succeeded has taken effect. One that failed may have taken effect, may take effect later (its gateway
may be suspended in the middle of it), or never. Its key is therefore not written again, and both the old and the new
content are accepted.
"""

import contextlib
import hashlib
import random
import threading

import botocore.exceptions
from data import MIB, some_bytes
from harness import wait_until

BUCKET = "load"
ABSENT = "absent"

# Weights and upper limits: small blocks share a segment, large ones have one each, the largest objects have several blocks.
SIZES = [(60, 20_000), (30, 3 * MIB), (10, 20 * MIB)]


def digest(body):
    return hashlib.md5(body).hexdigest()


class WrongBytes(AssertionError):
    """A read succeeded and returned other bytes than were written."""


class Load:
    """Threads with one client each. `attempts` counts all operations, `done` the successful ones."""

    def __init__(self, clients, threads, seed):
        self._clients = clients
        self._seed = seed
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._go = threading.Event()
        self._go.set()
        self._resting = 0
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(threads)]
        # The states that each key may have: digests, or ABSENT.
        self.expected = {}
        self.attempts = 0
        self.done = 0
        self.errors = {}
        self.broken = []

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "a client hangs"

    def _run(self, number):
        rng = random.Random(f"{self._seed}/{number}")
        worker = _Worker(self, number, rng, self._clients())
        while not self._stop.is_set() and not self.broken:
            if not self._go.is_set():
                self._rest()
                continue
            try:
                worker.step()
                outcome = None
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
                outcome = _name(error)
            except AssertionError as error:
                self.broken.append(error)
                return
            with self._lock:
                self.attempts += 1
                if outcome is None:
                    self.done += 1
                else:
                    self.errors[outcome] = self.errors.get(outcome, 0) + 1

    def _rest(self):
        with self._lock:
            self._resting += 1
        self._go.wait()
        with self._lock:
            self._resting -= 1

    @contextlib.contextmanager
    def paused(self):
        """Waits until no operation is in progress, and starts none inside the `with` block."""
        self._go.clear()
        wait_until(lambda: self._resting == len(self._threads) or self.broken, "clients to pause", 120)
        try:
            yield
        finally:
            self._go.set()

    def check(self):
        if self.broken:
            raise self.broken[0]

    def verify(self, client):
        """Reads every key and compares it with `expected`; returns the number of objects."""
        found = 0
        for key, states in sorted(self.expected.items()):
            found += (state := read(client, key)) != ABSENT
            if state not in states:
                raise WrongBytes(f"{key}: found {state}, expected one of {states}")
        return found


def _name(error):
    response = getattr(error, "response", None)
    if response is None:
        return type(error).__name__
    return f"{response['ResponseMetadata']['HTTPStatusCode']} {response['Error']['Code']}"


def read(client, key):
    try:
        return digest(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    except client.exceptions.NoSuchKey:
        return ABSENT


class _Worker:
    """One client. No other client writes its keys, so it knows what they hold."""

    def __init__(self, load, number, rng, clients):
        self.load, self.number, self.rng, self.clients = load, number, rng, clients
        self.keys = []
        self.count = 0

    @property
    def client(self):
        return self.rng.choice(self.clients)

    def step(self):
        known = [self.read, self.overwrite, self.copy, self.delete]
        operations = [self.write, self.write, self.upload, *(known + [self.read] * 4 if self.keys else [])]
        self.rng.choice(operations)()

    def body(self):
        self.count += 1
        weights, sizes = zip(*SIZES, strict=True)
        (most,) = self.rng.choices(sizes, weights)
        return some_bytes(self.rng.randrange(1, most), f"{self.number}/{self.count}")

    def new_key(self):
        self.count += 1
        return f"{self.number}/{self.count}"

    @contextlib.contextmanager
    def change(self, key, after):
        """Wraps a change of `key` to the state `after`, and keeps `expected` right if the change fails."""
        before = self.load.expected.get(key, {ABSENT})
        with contextlib.suppress(ValueError):
            self.keys.remove(key)
        self.load.expected[key] = before | {after}
        yield
        # The change succeeded: the key has one possible state, and may be used again.
        self.load.expected[key] = {after}
        if after != ABSENT:
            self.keys.append(key)

    def put(self, key):
        body = self.body()
        with self.change(key, digest(body)):
            self.client.put_object(Bucket=BUCKET, Key=key, Body=body)

    def write(self):
        self.put(self.new_key())

    def overwrite(self):
        self.put(self.rng.choice(self.keys))

    def copy(self):
        source = self.rng.choice(self.keys)
        (state,) = self.load.expected[source]
        with self.change(key := self.new_key(), state):
            self.client.copy_object(Bucket=BUCKET, Key=key, CopySource={"Bucket": BUCKET, "Key": source})

    def delete(self):
        key = self.rng.choice(self.keys)
        with self.change(key, ABSENT):
            self.client.delete_object(Bucket=BUCKET, Key=key)

    def read(self):
        key = self.rng.choice(self.keys)
        found = read(self.client, key)
        if found not in self.load.expected[key]:
            raise WrongBytes(f"{key}: found {found}, expected {self.load.expected[key]}")

    def upload(self):
        key = self.new_key()
        seed = f"{self.number}/{self.count}"
        bodies = [some_bytes(5 * MIB + 1, f"{seed}/1"), some_bytes(100_000, f"{seed}/2")]
        # The parts may go through different gateways.
        upload = self.client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        with self.change(key, digest(b"".join(bodies))):
            parts = []
            for number, body in enumerate(bodies, 1):
                answer = self.client.upload_part(
                    Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=number, Body=body
                )
                parts.append({"PartNumber": number, "ETag": answer["ETag"]})
            self.client.complete_multipart_upload(
                Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
            )
