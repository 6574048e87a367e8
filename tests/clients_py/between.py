"""An HTTP proxy between two parts of a cluster, which can delay calls and drop the answer to one of them."""

import http.client
import http.server
import threading


class Between:
    """Forwards calls to `target`. `lose(path, then)` drops the answer to the next call of that path: the target executes the
    call, the proxy calls `then()`, and closes the connection without an answer."""

    def __init__(self, target):
        self.target = target.removeprefix("http://")
        self._lock = threading.Lock()
        self._path = self._then = None
        self.lost = threading.Event()
        self._held = None
        self._waiting = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                outer._pass_on(self)

            do_GET = do_POST

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def lose(self, path, then):
        with self._lock:
            self._path, self._then = path, then
            self.lost.clear()

    def hold(self, path):
        """Delays calls of this path until the returned event is set, 120 s at most."""
        self._held = (path, threading.Event())
        return self._held[1]

    def held(self):
        """The number of calls delayed so far, whether or not they still wait."""
        with self._lock:
            return self._waiting

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def _takes(self, path):
        """The function to call before the answer to this call is dropped, or None if the answer is to be sent."""
        with self._lock:
            if self._path != path:
                return None
            self._path = None
            return self._then

    def _pass_on(self, call):
        body = call.rfile.read(int(call.headers.get("content-length", 0)))
        # The query says in which state of access control the call was allowed.
        path = call.path.split("?")[0]
        then = self._takes(path)
        if self._held and self._held[0] == path:
            with self._lock:
                self._waiting += 1
            self._held[1].wait(120)
        try:
            connection = http.client.HTTPConnection(self.target, timeout=60)
            connection.request(call.command, call.path, body, dict(call.headers))
            answer = connection.getresponse()
            content = answer.read()
        except OSError:
            # The caller sees a connection that ends without an answer.
            call.close_connection = True
            return
        if then:
            then()
            self.lost.set()
            call.close_connection = True
            return
        call.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                call.send_header(name, value)
        call.send_header("content-length", str(len(content)))
        call.end_headers()
        call.wfile.write(content)
