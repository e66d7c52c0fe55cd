"""Shows the demo at work: a line for each thing it begins, and a table of what each step has done and still owes."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import RenderableType
from rich.live import Live
from sqlalchemy import text

from workers.cli import console
from workers.cli.console import count
from workers.cli.tables import FittingTable
from workers.store.database import engine

#: How often the table is made anew.
REFRESH_S = 0.25
_STEPS = text("""
select step, coalesce(sum(weight) filter (where state = 'done'), 0) as done,
  count(*) filter (where state = 'ready' and due_at <= now()) as due,
  count(*) filter (where state = 'ready' and due_at > now()) as later, count(*) filter (where state = 'dead') as dead
from work where id > :after group by step
order by array_position(array['validate', 'enrich', 'aggregate', 'close', 'rate', 'tax', 'post', 'notify'], step)
""")


class Watch:
    """What a person sees while the demo works; nothing if nobody looks."""

    def __init__(self, *, is_shown: bool) -> None:
        self._console = console.err()
        self._is_shown = is_shown
        self._refreshed_at = 0.0
        self._after = 0

    def say(self, words: str) -> None:
        """Say in a line what begins now."""
        if self._is_shown:
            self._console.print(f"[dim]..[/] {words}")

    def show(self, what: RenderableType) -> None:
        """Show a table."""
        if self._is_shown:
            self._console.print(what)

    @contextmanager
    def live(self) -> Iterator[Live | None]:
        """A place for the table of steps while the block runs; on no terminal only its last state is printed."""
        if not self._is_shown:
            yield None
            return
        with engine().connect() as conn:
            self._after = conn.execute(text("select coalesce(max(id), 0) from work")).scalar_one()
        if not self._console.is_terminal:
            yield None
            self._console.print(self._table())
            return
        with Live(self._table(), console=self._console, auto_refresh=False) as live:
            yield live
            live.update(self._table(), refresh=True)

    def refresh(self, live: Live | None) -> None:
        """Make the table anew, a few times a second at most."""
        if live is not None and monotonic() - self._refreshed_at >= REFRESH_S:
            live.update(self._table(), refresh=True)
            self._refreshed_at = monotonic()

    def _table(self) -> FittingTable:
        with engine().connect() as conn:
            rows = [
                [row.step, *(count(int(n)) for n in (row.done, row.due, row.later, row.dead))]
                for row in conn.execute(_STEPS, {"after": self._after})
            ]
        return console.table("", ["step", "events or documents done#", "work due#", "later#", "dead#"], rows)
