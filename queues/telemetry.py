"""What a process tells the outside: logs as events, errors to Sentry, and one correlation id from end to end."""

import logging
import sys
from contextvars import ContextVar
from time import monotonic
from typing import Literal, TextIO
from uuid import uuid4

import sentry_sdk
import structlog
from dramatiq.broker import Broker, MessageProxy
from dramatiq.middleware import Middleware
from sentry_sdk.integrations.dramatiq import DramatiqIntegration
from sentry_sdk.integrations.logging import ignore_logger
from structlog.contextvars import bind_contextvars, clear_contextvars, merge_contextvars
from structlog.stdlib import ProcessorFormatter
from structlog.typing import Processor

from queues.envelope import HintMessage
from queues.scrubbing import scrub, scrub_crumb
from queues.settings import Settings, settings

#: Goes from an event through every hint to its document.
correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)

#: Loggers of libraries that say much; errors of theirs reach us as exceptions.
QUIET = {"pika": logging.CRITICAL, "apscheduler": logging.WARNING}
#: Every consumer of every worker logs when RabbitMQ is away, each few seconds; it heals by itself.
CONSUMERS = "dramatiq.worker.ConsumerThread"
CONSUMERS_AGAIN_S = 60.0
#: A process that ends waits so long for reports to leave, whether Sentry answers or not.
SENTRY_EXIT_S_MAX = 1.0


class CorrelationIds(Middleware):
    """A hint carries the correlation id of the hint that caused it; logs within its step carry it too."""

    def before_enqueue(self, broker: Broker, message: HintMessage, delay: int | None) -> None:
        """Give a hint the current correlation id, or a new one."""
        del broker, delay
        message.options.setdefault("correlation_id", correlation_id.get() or str(uuid4()))

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Make the hint's correlation id the current one."""
        del broker
        correlation_id.set(message.options.get("correlation_id"))
        bind_contextvars(correlation_id=correlation_id.get(), queue=message.queue_name)

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: object = None, exception: BaseException | None = None
    ) -> None:
        """Forget it: the thread serves others next."""
        del result, exception
        self.after_skip_message(broker, message)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """Forget it also when a middleware skipped the hint."""
        del broker, message
        correlation_id.set(None)
        clear_contextvars()


class Rarely(logging.Filter):
    """Lets each sentence of Dramatiq's consumers pass once a minute: the scheduler tells an outage, once."""

    def __init__(self) -> None:
        super().__init__()
        self._passed_at: dict[tuple[str, object], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is not the same again too soon."""
        if not record.name.startswith(CONSUMERS):
            return True
        said, now = (record.name, record.msg), monotonic()
        if now - self._passed_at.get(said, -CONSUMERS_AGAIN_S) < CONSUMERS_AGAIN_S:
            return False
        self._passed_at[said] = now
        return True


class Logs(Middleware):
    """Worker processes of a fleet, which Dramatiq's command starts, log as our own processes do."""

    def after_process_boot(self, broker: Broker) -> None:
        """Configure logging, unless Dramatiq runs inside a process of ours."""
        del broker
        if settings().mode == "fleet":
            configure_logging()


def configure_logging(
    *, level: int = logging.INFO, stream: TextIO | None = None, style: Literal["json", "text"] | None = None
) -> None:
    """Write one JSON object a line to `stream` (standard error), for a person at a terminal text instead.

    Logs of libraries take the same form. Field `event` is what happened, the rest are its facts.
    """
    stream = stream or sys.stderr
    is_text = style == "text" or (style is None and stream.isatty())
    renderer: Processor = structlog.dev.ConsoleRenderer() if is_text else structlog.processors.JSONRenderer(default=str)
    shared: list[Processor] = [
        merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *([] if is_text else [structlog.processors.format_exc_info]),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        ProcessorFormatter(foreign_pre_chain=shared, processors=[ProcessorFormatter.remove_processors_meta, renderer])
    )
    handler.addFilter(Rarely())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name, quiet in QUIET.items():
        logging.getLogger(name).setLevel(max(level, quiet))
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def start_sentry(chosen: Settings) -> None:
    """Report errors to Sentry if there is a DSN: ids only, no bodies, no values of variables, no personal data.

    A thread of its own sends them. What finds its queue full is dropped, so nothing waits for Sentry, and the end of a
    process waits for `SENTRY_EXIT_S_MAX` at most.
    """
    if chosen.sentry_dsn is None:
        return
    ignore_logger(f"{CONSUMERS}*")
    sentry_sdk.init(
        dsn=chosen.sentry_dsn.get_secret_value(),
        integrations=[DramatiqIntegration()],
        max_request_body_size="never",
        include_local_variables=False,
        before_send=scrub,
        before_breadcrumb=scrub_crumb,
        shutdown_timeout=SENTRY_EXIT_S_MAX,
    )
