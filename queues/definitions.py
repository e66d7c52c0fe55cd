"""The topology as a definitions file for RabbitMQ.

After a change of the topology run `python -m queues.definitions > infra/rabbitmq/definitions.json`; a test compares.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from queues import topology
from queues.topology import Upstream


def definitions(
    connections: Sequence[str], upstreams: Sequence[Upstream] = (), *, vhost: str = "/"
) -> dict[str, object]:
    """The same as a definitions file for RabbitMQ, without users: passwords are no part of a repository."""
    return {
        "vhosts": [{"name": vhost}],
        "exchanges": [
            {
                "name": each.name,
                "vhost": vhost,
                "type": each.kind,
                "durable": True,
                "auto_delete": False,
                "internal": False,
                "arguments": dict(each.arguments),
            }
            for each in topology.exchanges()
        ],
        "queues": [
            {"name": name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": dict(arguments)}
            for name, arguments in topology.queue_arguments(connections, upstreams).items()
        ],
        "bindings": [
            {
                "source": exchange,
                "vhost": vhost,
                "destination": queue,
                "destination_type": "queue",
                "routing_key": key,
                "arguments": {},
            }
            for exchange, queue, key in topology.bindings(upstreams)
        ],
    }


def definitions_text(connections: Sequence[str], upstreams: Sequence[Upstream] = (), *, vhost: str = "/") -> str:
    """The definitions as the file that is kept, one key a line, so that a change of topology reads as a diff."""
    return json.dumps(definitions(connections, upstreams, vhost=vhost), indent=2) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the definitions for the ERP connections and upstreams named on the command line."""
    parser = ArgumentParser(prog="python -m queues.definitions", description="Print definitions for RabbitMQ.")
    parser.add_argument("--connection", action="append", default=[], help="an ERP connection; may be repeated")
    parser.add_argument("--upstream", action="append", default=[], help="a user that sends usage; may be repeated")
    parser.add_argument("--vhost", default="/", help="the virtual host of this region")
    named = parser.parse_args(arguments)
    upstreams = [Upstream(user) for user in named.upstream]
    sys.stdout.write(definitions_text(named.connection, upstreams, vhost=named.vhost))


if __name__ == "__main__":
    main()
