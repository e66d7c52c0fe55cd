"""What a process tells the outside: logs as events, errors to Sentry, metrics to Prometheus, one id from end to end."""

from contextvars import ContextVar
from uuid import uuid4

import sentry_sdk
from dramatiq.broker import Broker, MessageProxy
from dramatiq.middleware import Middleware
from sentry_sdk.integrations.dramatiq import DramatiqIntegration
from structlog.contextvars import bind_contextvars, clear_contextvars

from queues.envelope import HintMessage
from queues.settings import Settings

#: Goes from an event through every hint to its document.
correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)


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
        bind_contextvars(correlation_id=correlation_id.get(), step=message.actor_name, queue=message.queue_name)

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


def start_sentry(settings: Settings) -> None:
    """Report errors to Sentry if there is a DSN: ids only, no bodies, no values of variables, no personal data."""
    if settings.sentry_dsn is None:
        return
    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        integrations=[DramatiqIntegration()],
        max_request_body_size="never",
        include_local_variables=False,
        send_default_pii=False,
    )
