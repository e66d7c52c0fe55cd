"""A Sentry that keeps what it is sent; it may be closed, or take connections and never answer."""

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    sentry: "FakeSentry"


class _Answers(BaseHTTPRequestHandler):
    server: _Server

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.sentry.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
        self._answer(b"{}")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


class FakeSentry:
    """Listens on a port of its own from the start."""

    def __init__(self) -> None:
        self.envelopes: list[str] = []
        self._server = self._listening(0)
        self.port = self._server.server_port

    @property
    def dsn(self) -> str:
        """Where to report to."""
        return f"http://publickey@127.0.0.1:{self.port}/1"

    def take(self, envelope: bytes) -> None:
        self.envelopes.append(envelope.decode("utf-8", "replace"))

    def events(self) -> list[dict[str, object]]:
        """The error events of all envelopes."""
        found = []
        for envelope in list(self.envelopes):
            lines = envelope.splitlines()[1:]
            for header, payload in zip(lines[::2], lines[1::2], strict=False):
                if json.loads(header).get("type") == "event":
                    found.append(json.loads(payload))
        return found

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nobody listens on the port meanwhile."""
        self.close()
        try:
            yield
        finally:
            self._server = self._listening(self.port)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """The port takes connections and never answers meanwhile."""
        self.close()
        try:
            with socket.create_server(("127.0.0.1", self.port), backlog=128):
                yield
        finally:
            self._server = self._listening(self.port)

    def _listening(self, port: int) -> _Server:
        server = _Server(("127.0.0.1", port), _Answers)
        server.sentry = self
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server
