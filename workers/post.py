"""The step `post`: one document into one ERP, looked up before it is ever sent again, confirmed by reading it back."""

from workers.posting import deliver
from workers.step import step
from workers.unit import Errand


#: Longer than the first transaction takes; what the ERP needs is known then, and the lease is set to it.
@step("post", lease_s=20)
def post(errand: Errand) -> None:
    """Bring the posting as far as it goes now."""
    deliver(errand)
