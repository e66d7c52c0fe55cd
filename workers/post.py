"""The step `post`: one document into one ERP, looked up before it is ever sent again, confirmed by reading it back."""

from workers import posting_periods, repairing
from workers.posting import deliver
from workers.step import step
from workers.unit import Errand


#: Longer than the first transaction takes; what the ERP needs is known then, and the lease is set to it.
@step("post", lease_s=20)
def post(errand: Errand) -> None:
    """Bring the posting, the repair of a document or the look at a period as far as it goes now."""
    if posting_periods.is_period(errand.ready.subject):
        posting_periods.look(errand)
    elif repairing.is_repair(errand.ready.subject):
        repairing.go_on(errand)
    else:
        deliver(errand)
