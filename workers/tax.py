"""The step `tax`: the first rounding to money, and the tax of each draft with its evidence."""

from workers.step import step
from workers.store import drafts
from workers.tax_engines.table import TableEngine
from workers.taxing import lined
from workers.unit import Unit


@step("tax")
def tax(unit: Unit) -> None:
    """Turn the rated usage of each draft into lines and taxes; people approve the taxed draft."""
    for ids in drafts.rounds(unit.conn, [ready.subject_id for ready in unit.ready]):
        found = drafts.load(unit.conn, ids)
        engine = TableEngine.loaded(unit.conn, {draft.jurisdiction for draft in found})
        drafts.save(unit.conn, [lined(draft, engine) for draft in found])
