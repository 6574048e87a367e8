"""A client for the internal ports: it signs and frames requests by itself, so that it can also send wrong ones."""

import contextlib
import hashlib
import hmac
import http.client
import itertools
import json
import re
import secrets
import socket
import threading
import time

# Longer than the listener's time-outs (listener/src/lib.rs), with a margin for a busy machine.
SILENCE_TIMEOUT_SECONDS = 120


class Secret:
    """Signs as the parts do: HMAC-SHA256 of purpose, NUL and message (protocol/src/secret.rs, protocol/src/signature)."""

    def __init__(self, text):
        self.key = hashlib.sha256(text.encode()).digest().ljust(64, b"\0")
        self.key_id = hashlib.sha256(self.key).hexdigest()[:8]
        self.caller = secrets.token_hex(16)
        self.numbers = itertools.count()

    def sign(self, purpose, message):
        return hmac.new(self.key, purpose.encode() + b"\0" + message.encode(), hashlib.sha256).hexdigest()

    def request(self, method, path, body=b"", at=None, epoch="0" * 32, length=None):
        at = at or int(time.time() * 1000)
        length = len(body) if length is None else length
        fields = f"{epoch}.{self.caller}.{next(self.numbers)}.{at}.{length}.{hashlib.sha256(body).hexdigest()}"
        return f"Cairn {self.key_id}.{fields}." + self.sign("call", f"{method}\n{path}\n{fields}")

    def block(self, operation, block, node, expires=None):
        expires = expires or int(time.time() * 1000) + 3_600_000
        signature = self.sign("block", f"{operation}\n{block}\n{node}\n{expires}")
        return f"Bearer {self.key_id}.{expires}.{signature}"


class Port:
    """One internal port."""

    def __init__(self, process):
        self.port = process.port

    def connect(self, timeout=SILENCE_TIMEOUT_SECONDS):
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def raw(self, data):
        """Sends bytes, closes the sending side, and returns all that the server sends, possibly nothing."""
        with self.connect() as connection:
            # The server may have closed the connection: then `sendall` fails, or `shutdown` with ENOTCONN.
            with contextlib.suppress(OSError):
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            return read_to_end(connection)

    def send(self, data):
        """Sends the bytes of a request and returns the answer: status, body and headers."""
        with self.connect() as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(data)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return answer.status, answer.read(), answer.headers

    def ask(self, method, path, body=b"", **headers):
        """Sends a well-formed HTTP request and returns the answer: status, body and headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers

    def epoch(self, signer):
        """The epoch that calls to this part must carry until it restarts. Only a signed call gets it in the answer."""
        answer = self.ask("GET", "/events", Authorization=signer.request("GET", "/events"))
        assert (answer[0], code(answer)) == (403, "Unauthorized"), answer
        return answer[2]["x-cairn-epoch"]


def read_to_end(connection):
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65_536):
            received += data
    return received


def code(answer):
    """The code in the body of a typed error."""
    status, body, _ = answer
    assert status >= 400, answer
    error = json.loads(body)
    assert error["message"], answer
    return error["code"]


class Tap:
    """A TCP proxy between a part and a port that it calls. It records all bytes of both directions."""

    def __init__(self, port):
        self.target = port
        self.said, self.answered = [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        # `close` closes the listener, and `accept` then fails.
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self.listener.accept()
                called = socket.create_connection(("127.0.0.1", self.target))
                for source, sink, heard in ((caller, called, self.said), (called, caller, self.answered)):
                    heard.append(bytearray())
                    threading.Thread(target=self._pass_on, args=(source, sink, heard[-1]), daemon=True).start()

    @staticmethod
    def _pass_on(source, sink, heard):
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                heard += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def heard(self):
        """The recorded bytes of both directions."""
        return b"".join(bytes(piece) for piece in [*self.said, *self.answered])

    def calls(self, path):
        """The recorded requests for this path, as they were sent."""
        found = []
        for said in self.said:
            said = bytes(said)
            for start in re.finditer(rb"POST " + path.encode() + rb" HTTP/1\.1\r\n", said):
                head, _, rest = said[start.start() :].partition(b"\r\n\r\n")
                length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
                if len(rest) >= length:
                    found.append(head + b"\r\n\r\n" + rest[:length])
        return found

    def close(self):
        self.listener.close()
