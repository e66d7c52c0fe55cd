"""What the figures were measured on: the machine, the versions, and how PostgreSQL runs."""

import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psycopg

from infra.bench.scratch import named
from queues.rabbit_api import RabbitApi

#: As a deployment on such a machine would run it. Commit timestamps are what the latencies are read from.
POSTGRES_OPTIONS: Mapping[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "2GB",
    "max_wal_size": "16GB",
    "min_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "track_commit_timestamp": "on",
}
_GIBIBYTE = 2**30


class SettingsUnfit(Exception):
    """The PostgreSQL around us would make the figures mean something else."""


def description(database_url: str) -> list[str]:
    """Machine, versions and settings, a line each."""
    with psycopg.connect(database_url) as conn:
        postgres = _one(conn, "show server_version")
        options = ", ".join(f"{name}={_one(conn, f'show {name}')}" for name in POSTGRES_OPTIONS)
    node = RabbitApi(named("TALLYLINE_RABBIT_API_URL")).overview()
    system = f"{platform.system()} {platform.release()}"
    rabbitmq = f"RabbitMQ {node['rabbitmq_version']} on Erlang {node['erlang_version']}"
    return [
        f"{_processor()}, {os.cpu_count()} cores, {_memory():.1f} GiB, {system}",
        f"commit {_commit()}, Python {platform.python_version()}",
        f"PostgreSQL {postgres}, {rabbitmq}, Redis {_redis_version()}",
        f"PostgreSQL runs with {options}",
    ]


def require_fit(database_url: str) -> None:
    """Raises `SettingsUnfit` for a server that does not sync, or does not keep the instants of its commits."""
    with psycopg.connect(database_url) as conn:
        for name in ("fsync", "synchronous_commit", "track_commit_timestamp"):
            if _one(conn, f"show {name}") != "on":
                raise SettingsUnfit(f"{name} is off: run `make bench`, or start PostgreSQL with {name}=on")


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIBIBYTE


def _commit() -> str:
    root = Path(__file__).resolve().parents[2]
    asked = subprocess.run(
        ["git", "-C", str(root), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"


def _redis_version() -> str:
    from redis import Redis

    with Redis.from_url(named("TALLYLINE_REDIS_URL")) as redis:
        return str(redis.info("server")["redis_version"])


def _one(conn: psycopg.Connection, query: str) -> str:
    row = conn.execute(query).fetchone()
    assert row is not None
    return str(row[0])
