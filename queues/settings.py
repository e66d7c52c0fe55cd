"""Settings of every process, read once from the environment (prefix `TALLYLINE_`) or from files for secrets."""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

#: PostgreSQL error classes and waits are tuned to this; a deadlock is reported after it, not after the default second.
DEADLOCK_TIMEOUT_MS = 100


class Settings(BaseSettings):
    """What a deployment decides; every field has a default that works for the embedded run."""

    model_config = SettingsConfigDict(env_prefix="TALLYLINE_", secrets_dir=None, extra="ignore", frozen=True)

    mode: Literal["embedded", "fleet"] = "embedded"
    home: Path = Field(default=Path(".tallyline"), description="data folder of the embedded run")
    database_url: SecretStr | None = Field(default=None, description="postgresql://user:password@host:port/name")
    amqp_url: SecretStr | None = Field(default=None, description="amqp://user:password@host:port/vhost")
    rabbit_api_url: SecretStr | None = Field(default=None, description="http://user:password@host:port of the console")
    redis_url: SecretStr | None = Field(default=None, description="redis://host:port/0")
    sentry_dsn: SecretStr | None = None
    token: SecretStr | None = Field(default=None, description="whose commands these are; `tallyline people token`")
    token_file: Path | None = Field(default=None, description="a file that holds the token, read instead of it")
    person: str | None = Field(default=None, description="embedded: who acts, unless a command says `--as`")
    metrics_host: str = Field(default="127.0.0.1", description="where the scheduler serves /metrics")
    metrics_port: int = Field(default=9105, ge=0, le=65_535, description="0 takes any free port")
    pool_size: int = Field(default=4, ge=1, le=64, description="database connections a process may hold")

    intake_bodies_max: int = Field(default=200, ge=1, le=10_000, description="bodies in one receipt")
    intake_bytes_max: int = Field(default=8 * 2**20, ge=2**10, le=64 * 2**20, description="bytes in one receipt")
    intake_wait_s: float = Field(default=0.05, gt=0, le=5, description="longest wait before a receipt is written")
    intake_hint_s: float = Field(default=0.2, ge=0, le=5, description="rest between two hints of small receipts")

    receipt_days: int = Field(default=400, ge=1, le=36_525, description="age at which bodies may be erased")
    message_days: int = Field(default=30, ge=1, le=36_525, description="days that a settled message keeps its body")

    hint_rows_max: int = Field(default=200, ge=1, le=200, description="work rows in one hint and its transaction")
    hint_weight_max: int = Field(default=5_000, ge=1, le=1_000_000, description="events or lines in one hint")
    attempts_max: int = Field(default=8, ge=1, le=100, description="failures before a work row is dead")
    starts_max: int = Field(default=5, ge=1, le=100, description="starts without an outcome before a row is poison")


@cache
def settings() -> Settings:
    """The settings of this process; tests clear the cache after they change the environment."""
    return Settings()
