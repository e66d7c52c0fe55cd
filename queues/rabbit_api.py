"""RabbitMQ's management interface: users, permissions, definitions, and what only it can tell."""

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, Request

from queues.topology import OnCall, Upstream

ANSWER_S_MAX = 10.0
_NOT_FOUND = 404
_HTTP_ERROR_MIN = 400


class RabbitApiFailed(Exception):
    """The management interface did not do what was asked; `status` is its HTTP status, None if it did not answer."""

    def __init__(self, sentence: str, *, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


class RabbitApi:
    """The management interface at `url` (`http://user:password@host:port`) for one virtual host.

    Its counts lag by seconds; ask a broker's `look` for those that decide something.
    """

    def __init__(self, url: str, *, vhost: str = "/") -> None:
        parts = urlsplit(url)
        self.vhost = vhost
        self._root = f"{parts.scheme}://{parts.hostname}:{parts.port}/api"
        credentials = f"{parts.username or ''}:{parts.password or ''}"
        self._authorization = "Basic " + base64.b64encode(unquote(credentials).encode()).decode()
        self._opener = OpenerDirector()
        self._opener.add_handler(HTTPHandler())
        self._opener.add_handler(HTTPSHandler())

    def queues(self) -> list[dict[str, Any]]:
        """Every queue of the virtual host with its `name`, `arguments` and statistics."""
        return self._list("GET", f"/queues/{_path(self.vhost)}")

    def exchanges(self) -> list[dict[str, Any]]:
        """Every exchange of the virtual host with its `name`, `type` and `arguments`."""
        return self._list("GET", f"/exchanges/{_path(self.vhost)}")

    def bindings(self) -> list[dict[str, Any]]:
        """Every binding of the virtual host with its `source`, `destination` and `routing_key`."""
        return self._list("GET", f"/bindings/{_path(self.vhost)}")

    def overview(self) -> dict[str, Any]:
        """The versions of RabbitMQ and Erlang, and totals of the cluster."""
        found: dict[str, Any] = self._ask("GET", "/overview")
        return found

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes of the cluster with their `name`, `os_pid` and alarms."""
        return self._list("GET", "/nodes")

    def alarms(self) -> list[str]:
        """The nodes whose memory or disk alarm stops publishers at this moment."""
        return [node["name"] for node in self.nodes() if node.get("mem_alarm") or node.get("disk_free_alarm")]

    def users(self) -> list[str]:
        """The names of all users."""
        return [user["name"] for user in self._list("GET", "/users")]

    def clock(self) -> datetime:
        """What the clock of RabbitMQ's host shows, in whole seconds."""
        _, date = self._open("GET", "/whoami", None)
        return parsedate_to_datetime(date)

    def peek(self, queue: str, *, bodies_max: int = 10) -> list[dict[str, Any]]:
        """The first bodies of a queue with their properties, put back; other readers do not see them meanwhile."""
        question = {"count": bodies_max, "ackmode": "ack_requeue_true", "encoding": "auto"}
        return self._list("POST", f"/queues/{_path(self.vhost)}/{_path(queue)}/get", question)

    def import_definitions(self, definitions: Mapping[str, object]) -> None:
        """Create what is missing. What exists stays as it is, also where its arguments differ."""
        self._ask("POST", "/definitions", definitions)

    def put_upstream(self, upstream: Upstream, *, password: str) -> None:
        """Create or change the user of an upstream: no tags, so no console, and the permissions of its role."""
        self._ask("PUT", f"/users/{_path(upstream.user)}", {"password": password, "tags": ""})
        self._ask("PUT", f"/permissions/{_path(self.vhost)}/{_path(upstream.user)}", upstream.permissions)
        if upstream.topic_permissions is not None:
            where = f"/topic-permissions/{_path(self.vhost)}/{_path(upstream.user)}"
            self._ask("PUT", where, upstream.topic_permissions)

    def put_on_call(self, on_call: OnCall, *, password: str) -> None:
        """Create or change the user of whoever is on call: the console, and the permissions of its role."""
        self._ask("PUT", f"/users/{_path(on_call.user)}", {"password": password, "tags": on_call.tags})
        self._ask("PUT", f"/permissions/{_path(self.vhost)}/{_path(on_call.user)}", on_call.permissions)

    def delete_user(self, user: str) -> None:
        """Delete a user; nothing happens if there is none."""
        self._delete(f"/users/{_path(user)}")

    def put_vhost(self, *, administrator: str) -> None:
        """Create the virtual host, with all permissions for `administrator`."""
        self._ask("PUT", f"/vhosts/{_path(self.vhost)}", {})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self._ask("PUT", f"/permissions/{_path(self.vhost)}/{_path(administrator)}", everything)

    def delete_vhost(self) -> None:
        """Delete the virtual host with all it holds; nothing happens if there is none."""
        self._delete(f"/vhosts/{_path(self.vhost)}")

    def delete_queue(self, queue: str) -> None:
        """Delete a queue with all it holds; nothing happens if there is none."""
        self._delete(f"/queues/{_path(self.vhost)}/{_path(queue)}")

    def _delete(self, path: str) -> None:
        try:
            self._ask("DELETE", path)
        except RabbitApiFailed as failed:
            if failed.status != _NOT_FOUND:
                raise

    def _list(self, method: str, path: str, content: object = None) -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = self._ask(method, path, content)
        return answer

    def _ask(self, method: str, path: str, content: object = None) -> Any:  # noqa: ANN401 - JSON of any shape
        text, _ = self._open(method, path, content)
        return json.loads(text) if text else None

    def _open(self, method: str, path: str, content: object) -> tuple[bytes, str]:
        """The body of an answer and its `Date`. Raises `RabbitApiFailed`."""
        headers = {"Authorization": self._authorization, "Content-Type": "application/json"}
        body = None if content is None else json.dumps(content).encode()
        request = Request(self._root + path, data=body, headers=headers, method=method)  # noqa: S310 - HTTP handlers only
        try:
            with self._opener.open(request, timeout=ANSWER_S_MAX) as response:
                status, text, date = response.status, response.read(), response.headers["Date"]
        except OSError as error:
            raise RabbitApiFailed(f"{method} {path}: {error}") from error
        if status >= _HTTP_ERROR_MIN:
            raise RabbitApiFailed(f"{method} {path}: {status} {text.decode(errors='replace')}", status=status)
        return text, date


def _path(name: str) -> str:
    return quote(name, safe="")
