"""The step `notify`: what happened, told to whoever listens and to the producers it concerns."""

from workers.step import step
from workers.telling import tell
from workers.unit import Errand


#: Longer than it takes to hand over all notices of one errand; a slower one is repeated, which listeners bear.
@step("notify", lease_s=30)
def notify(errand: Errand) -> None:
    """Send the notices of the subject; each is marked when it was taken, so it is sent at least once."""
    tell(errand)
