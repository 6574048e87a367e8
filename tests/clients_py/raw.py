"""HTTP over plain sockets, signed with AWS Signature Version 4, for requests that no S3 client sends.

Written from AWS's documentation, "Signing AWS API requests" and "Signature calculations for the
Authorization header: Transferring payload in multiple chunks".
"""

import contextlib
import dataclasses
import datetime
import hashlib
import hmac
import re
import socket
import urllib.parse

from harness import ACCESS_KEY, REGION, SECRET_KEY

UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


@dataclasses.dataclass
class Answer:
    """One HTTP response."""

    status: int
    headers: dict
    body: bytes

    @property
    def code(self):
        """The code of an S3 error document."""
        found = re.search(rb"<Code>([^<]*)</Code>", self.body)
        return found.group(1).decode() if found else None


@dataclasses.dataclass
class Signed:
    """The signed head of a request, and the values that the signatures of its chunks are computed from."""

    head: bytes
    signing_key: bytes
    scope: str
    date: str
    signature: str


class Raw:
    """Builds and sends requests to one server."""

    def __init__(self, port, access_key=ACCESS_KEY, secret_key=SECRET_KEY, region=REGION):
        self.port = port
        self.host = f"127.0.0.1:{port}"
        self.access_key = access_key
        self.secret_key = secret_key
        self.region = region

    def sign(self, method, path, query="", headers=None, payload=UNSIGNED, date=None, unsigned=None):
        """Returns a signed head. `unsigned` headers are sent and not signed, like those that a proxy adds."""
        date = date or datetime.datetime.now(datetime.UTC)
        stamp = date.strftime("%Y%m%dT%H%M%SZ")
        day = stamp[:8]
        signed = {"host": self.host, "x-amz-content-sha256": payload, "x-amz-date": stamp}
        signed |= {name.lower(): value for name, value in (headers or {}).items()}
        names = ";".join(sorted(signed))
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
        quoted = sorted((urllib.parse.quote(k, "-_.~"), urllib.parse.quote(v, "-_.~")) for k, v in pairs)
        canonical = "\n".join(
            [
                method,
                path,
                "&".join(f"{k}={v}" for k, v in quoted),
                *(f"{name}:{signed[name]}" for name in sorted(signed)),
                "",
                names,
                payload,
            ]
        )
        scope = f"{day}/{self.region}/s3/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        key = f"AWS4{self.secret_key}".encode()
        for step in (day, self.region, "s3", "aws4_request"):
            key = mac(key, step)
        signature = mac(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}").hex()
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        lines = [f"{method} {path}{'?' + query if query else ''} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in signed.items()]
        lines += [f"{name}: {value}" for name, value in (unsigned or [])]
        lines += [f"authorization: {authorization}", "", ""]
        return Signed("\r\n".join(lines).encode(), key, scope, stamp, signature)

    @contextlib.contextmanager
    def connect(self, timeout=30):
        with socket.create_connection(("127.0.0.1", self.port), timeout) as connection:
            yield Connection(connection)

    def send(self, method, path, query="", headers=None, body=b"", payload=None, **options):
        """Sends one request on a new connection and returns the answer."""
        payload = payload or hashlib.sha256(body).hexdigest()
        unsigned = [*options.pop("unsigned", []), ("content-length", str(len(body)))]
        signed = self.sign(method, path, query, headers, payload, unsigned=unsigned, **options)
        with self.connect() as connection:
            return connection.exchange(signed.head + body, method)


class Connection:
    """A socket, and the bytes received from it that are not parsed yet."""

    def __init__(self, connection):
        self.socket = connection
        self.rest = b""

    def write(self, data):
        self.socket.sendall(data)

    def exchange(self, data, method="GET"):
        # The server may answer and close before it has read the whole request.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.write(data)
        return self.answer(method)

    def _more(self):
        try:
            data = self.socket.recv(65_536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise ConnectionError(f"the server closed the connection after {self.rest!r}")
        self.rest += data

    def _take(self, count):
        while len(self.rest) < count:
            self._more()
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def _line(self):
        while b"\r\n" not in self.rest:
            self._more()
        line, self.rest = self.rest.split(b"\r\n", 1)
        return line.decode("latin-1")

    def answer(self, method="GET"):
        """The next answer; raises ConnectionError when the server closes instead."""
        status = int(self._line().split(" ")[1])
        headers = {}
        while line := self._line():
            name, value = line.split(":", 1)
            headers[name.strip().lower()] = value.strip()
        if status == 100:
            return Answer(status, headers, b"")
        body = b""
        if method != "HEAD" and status not in (204, 304):
            if headers.get("transfer-encoding") == "chunked":
                while size := int(self._line(), 16):
                    body += self._take(size)
                    self._line()
                while self._line():
                    pass
            else:
                body = self._take(int(headers.get("content-length", "0")))
        return Answer(status, headers, body)

    def answer_or_close(self, method="GET"):
        """The next answer, or None when the server closes the connection."""
        try:
            return self.answer(method)
        except ConnectionError:
            return None

    def closed(self):
        """Waits for the next byte or the end; returns whether it was the end."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


def signed_chunks(signed, pieces, first=None):
    """The chunks of an aws-chunked body, each signed, with the empty chunk at the end.

    `first` replaces the signature of the first chunk.
    """
    previous = signed.signature
    out = b""
    for number, piece in enumerate([*pieces, b""]):
        digest = hashlib.sha256(piece).hexdigest()
        text = "\n".join(
            ["AWS4-HMAC-SHA256-PAYLOAD", signed.date, signed.scope, previous, EMPTY_SHA256, digest]
        )
        previous = mac(signed.signing_key, text).hex()
        shown = first if first and number == 0 else previous
        out += f"{len(piece):x};chunk-signature={shown}\r\n".encode() + piece + b"\r\n"
    return out


def unsigned_chunks(pieces, trailers=()):
    """The chunks of an unsigned aws-chunked body, with trailers."""
    out = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)
    return out + b"0\r\n" + b"".join(f"{n}:{v}\r\n".encode() for n, v in trailers) + b"\r\n"
