"""A wire to RabbitMQ that a test can block as a memory alarm does, or cut."""

import select
import socket
import threading
from urllib.parse import urlsplit, urlunsplit


class Wire:
    """A TCP relay before RabbitMQ that a test can block as a memory alarm does, or cut."""

    #: Method frame on channel 0: connection.blocked (10, 60) with the reason "low on memory".
    BLOCKED = bytes([1, 0, 0, 0, 0, 0, 18, 0, 10, 0, 60, 13]) + b"low on memory" + b"\xce"

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.is_blocked = threading.Event()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        port = self._listener.getsockname()[1]
        self.url = urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}"))
        threading.Thread(target=self._accept, daemon=True).start()

    def block(self) -> None:
        """Tell every client that RabbitMQ is low on memory and read nothing more from them."""
        self.is_blocked.set()
        for client, _server in self._pairs:
            client.sendall(self.BLOCKED)

    def cut(self) -> None:
        """Close every connection without a word."""
        for pair in self._pairs:
            for end in pair:
                end.close()
        self._pairs.clear()

    def close(self) -> None:
        """Cut, and accept nothing more."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            pair = (client, socket.create_connection(self._server))
            self._pairs.append(pair)
            threading.Thread(target=self._relay, args=pair, daemon=True).start()

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while True:
                ends = [server] if self.is_blocked.is_set() else [client, server]
                for end in select.select(ends, [], [], 0.05)[0]:
                    if end is client and self.is_blocked.is_set():
                        continue
                    piece = end.recv(65536)
                    if not piece:
                        return
                    (server if end is client else client).sendall(piece)
        except (OSError, ValueError):
            return
        finally:
            client.close()
            server.close()
