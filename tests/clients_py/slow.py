"""Thousands of clients that read or write slowly, in a separate process.

`python slow.py readers|writers PORT COUNT BYTES_A_SECOND` prints `ready` when all of them have begun, runs until its
standard input ends, and prints how many of them the server has disconnected. Each 1,000 clients have their own source
address, like clients on several machines.
"""

import contextlib
import resource
import select
import socket
import subprocess
import sys
import time

from raw import UNSIGNED, Raw

CLIENTS_PER_ADDRESS = 1_000
# Each client acts once a second, a fiftieth of them at a time: clients on many machines do not act at the same moment.
TURNS_A_SECOND = 50
UPLOAD_LENGTH = 40 << 20


def connect(port, number, receive_buffer=None):
    client = socket.socket()
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(120)
    client.bind((f"127.0.0.{2 + number // CLIENTS_PER_ADDRESS}", 0))
    client.connect(("127.0.0.1", port))
    return client


def begin(kind, port, number):
    raw = Raw(port)
    if kind == "readers":
        client = connect(port, number, 4_096)
        client.sendall(raw.sign("GET", "/bucket/large").head)
    else:
        client = connect(port, number)
        unsigned = [("content-length", str(UPLOAD_LENGTH))]
        client.sendall(raw.sign("PUT", f"/bucket/slow{number}", payload=UNSIGNED, unsigned=unsigned).head + b"x")
    return client


def trickle(kind, client, rate):
    """Reads or writes up to `rate` bytes; returns False when the server has ended the connection."""
    try:
        if kind == "readers":
            return client.recv(rate) != b""
        client.send(bytes(rate))
        # The upload is not complete: an answer, or the end, means that the server has disconnected the client.
        client.recv(1)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def main(kind, port, count, rate):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    clients = []
    for number in range(count):
        clients.append(begin(kind, port, number))
    if kind == "readers":
        for client in clients:
            client.recv(1)
    for client in clients:
        client.setblocking(False)
    print("ready", flush=True)
    turns = [clients[turn::TURNS_A_SECOND] for turn in range(TURNS_A_SECOND)]
    began, turn = time.monotonic(), 0
    while not select.select([sys.stdin], [], [], max(0, began + turn / TURNS_A_SECOND - time.monotonic()))[0]:
        place = turn % TURNS_A_SECOND
        turns[place] = [client for client in turns[place] if trickle(kind, client, rate)]
        turn += 1
    clients = sum(turns, [])
    print(count - len(clients), flush=True)


@contextlib.contextmanager
def slow_clients(kind, port, count, rate=1_024):
    """Runs slow clients during the `with` block. Yields a function that ends them and returns how many the server disconnected."""
    command = [sys.executable, __file__, kind, str(port), str(count), str(rate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout.readline() == "ready\n", "the slow clients did not begin"
            yield lambda: int(child.communicate()[0])
        finally:
            child.kill()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
