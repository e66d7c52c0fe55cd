"""What `tallyline doctor` asks RabbitMQ and Redis: arguments of every queue, consumers, alarms, clocks."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from queues.broker import broker
from queues.publishing import NotPublished
from queues.rabbit_api import RabbitApi, RabbitApiFailed
from queues.settings import settings
from queues.topology import (
    INTAKE_QUEUE,
    QueueUnknown,
    Upstream,
    dead_queue_name,
    exchanges,
    queue_arguments,
    work_queues,
)
from workers.cli.checks import Check, clock, meanwhile, names, noted
from workers.cli.console import Failure
from workers.cli.sources import rabbit_api
from workers.store.database import engine

_AMQP = "set TALLYLINE_AMQP_URL=amqp://user:password@host:port/vhost, and check that RabbitMQ runs"
_API = "set TALLYLINE_RABBIT_API_URL=http://user:password@host:port of the console, and check that it runs"
_REDIS = "set TALLYLINE_REDIS_URL=redis://host:port/0, and check that Redis runs"


def server_checks() -> list[Check]:
    """All checks of RabbitMQ and Redis."""
    connections, upstreams = _deployment()
    checks: list[Check] = []
    with noted(checks, "RabbitMQ", (NotPublished, ValueError), fix=meanwhile("rabbitmq", _AMQP)):
        checks += _consumers(work_queues(connections))
    with noted(checks, "RabbitMQ console", (RabbitApiFailed, Failure), fix=_API):
        api = rabbit_api()
        queues = api.queues()
        checks += _topology(api, queues, queue_arguments(connections, upstreams))
        checks.append(dead_letters(queues))
        checks.append(_alarms(api))
        # the header holds whole seconds
        checks.append(clock("clock of RabbitMQ", api.clock, resolution=timedelta(seconds=1)))
    with noted(checks, "Redis", (redis.RedisError, OSError, Failure), fix=meanwhile("redis", _REDIS)):
        checks += _redis()
    return checks


def _deployment() -> tuple[list[str], list[Upstream]]:
    """The ERP connections and upstreams of the master data; none if the database does not answer."""
    try:
        with engine().connect() as conn:
            connections = list(conn.execute(text("select id from erp_connections order by id")).scalars())
            users = list(conn.execute(text("select distinct user_name from source_users order by 1")).scalars())
    except DBAPIError:
        return [], []
    upstreams = []
    for user in users:
        try:
            upstreams.append(Upstream(user))
        except QueueUnknown:
            continue  # a user of another making, such as an administrator, has no queue of refusals
    return connections, upstreams


def _consumers(queues: Sequence[str]) -> list[Check]:
    """Whether somebody works on every queue; a queue that is not there yet has no consumer either."""
    looks = {queue: broker().look(queue) for queue in (INTAKE_QUEUE, *queues)}
    checks = [Check("RabbitMQ", "ok", "answers")]
    idle = [queue for queue, look in looks.items() if look is not None and not look.consumers]
    missing = [queue for queue, look in looks.items() if look is None]
    if missing:
        fix = "start the fleet (`make up`): its processes create what is missing"
        checks.append(Check("queues", "wrong", f"missing: {names(missing)}", fix))
    if idle:
        fix = "start a process that serves them (see the Procfile)"
        checks.append(Check("consumers", "wrong", f"nobody works on {names(idle)}", fix))
    if not missing and not idle:
        checks.append(Check("consumers", "ok", f"every one of {len(looks)} queues has one"))
    return checks


def _topology(
    api: RabbitApi, queues: Sequence[Mapping[str, Any]], wanted: Mapping[str, Mapping[str, str | int]]
) -> list[Check]:
    """Whether queues and exchanges have the arguments of this code; RabbitMQ refuses to change them afterwards."""
    found: Mapping[str, Any] = {queue["name"]: queue["arguments"] for queue in queues}
    differing = [name for name, arguments in wanted.items() if name in found and dict(found[name]) != dict(arguments)]
    checks = []
    if differing:
        fix = "move their messages away, delete them, and let a worker declare them anew"
        checks.append(Check("queue arguments", "wrong", f"other arguments: {names(differing)}", fix))
    else:
        there = sum(name in found for name in wanted)
        checks.append(
            Check("queue arguments", "ok", f"{there} of {len(wanted)} queues are there, each as this code needs it")
        )
    absent = [name for name in wanted if name.startswith("refusals.") and name not in found]
    if absent:
        fix = "`tallyline sources add NAME --user U` makes user and queue"
        checks.append(Check("queues of refusals", "warning", f"missing: {names(absent)}", fix))
    kept = {exchange["name"]: (exchange["type"], exchange["arguments"]) for exchange in api.exchanges()}
    odd = [each.name for each in exchanges() if kept.get(each.name) != (each.kind, dict(each.arguments))]
    if odd:
        fix = "start the fleet, or import infra/rabbitmq/definitions.json; delete an exchange that differs first"
        checks.append(Check("exchanges", "wrong", f"missing or different: {names(odd)}", fix))
    return checks


def dead_letters(queues: Sequence[Mapping[str, Any]]) -> Check:
    """Which `.XQ` hold bodies. RabbitMQ's statistics lag by seconds, and a new queue has none yet."""
    dead = [each for each in queues if each["name"].endswith(dead_queue_name("")) and each.get("messages")]
    held = [f"{each['messages']} in {each['name']}" for each in dead]
    if not held:
        return Check("dead letters", "ok", "none")
    fix = "read their headers in the RabbitMQ console: `runbook` names the page that says what to do"
    return Check("dead letters", "warning", names(held), fix)


def _alarms(api: RabbitApi) -> Check:
    nodes = api.alarms()
    if nodes:
        fix = "free memory or disk on them: publishers are blocked until then"
        return Check("alarms of RabbitMQ", "wrong", f"memory or disk alarm on {names(nodes)}", fix)
    return Check("alarms of RabbitMQ", "ok", "none")


def _redis() -> list[Check]:
    url = settings().redis_url
    if url is None:
        raise Failure("no Redis is named")
    with redis.Redis.from_url(url.get_secret_value(), socket_timeout=5, socket_connect_timeout=5) as client:
        version = client.info("server")["redis_version"]

        def now() -> datetime:
            seconds, microseconds = client.time()
            return datetime.fromtimestamp(seconds + microseconds / 1_000_000, UTC)

        return [Check("Redis", "ok", f"version {version}"), clock("clock of Redis", now)]
