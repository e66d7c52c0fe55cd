"""The step `rate`: the prices in force applied to the sealed lots of a subscription's period."""

from workers.rating import rated
from workers.step import step
from workers.store import rated_usages
from workers.unit import Unit


@step("rate")
def rate(unit: Unit) -> None:
    """Rate every subscription of the rows; the draft whose last one this was is owed `tax`."""
    runs = rated_usages.runs(unit.conn, [ready.id for ready in unit.ready])
    windows = rated_usages.windows(unit.conn, runs)
    priced = rated_usages.priced(unit.conn, runs)
    rated_usages.save(unit.conn, rated(runs, windows, priced))
    for ready, invoice_id in rated_usages.count_down(unit.conn, unit.ready, runs):
        unit.then(ready, "tax", f"invoice/{invoice_id}")
