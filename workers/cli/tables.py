"""Tables that fit: columns side by side where the terminal is wide enough for their words, else row after row."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

#: Longer words are folded: a column is never wider for the sake of one.
WORD_MAX = 24
#: Texts up to here, such as an amount with what it is, are not wrapped while there is room.
PHRASE_MAX = 28
#: Characters that each column takes besides its words, and the table besides its columns.
FRAME, EDGE = 3, 1


@dataclass(frozen=True, slots=True)
class FittingTable:
    """A table whose words stay whole in any terminal; a column whose name ends in `#` is set to the right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Text]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Rich asks this for what to print."""
        cells = [
            [column.removesuffix("#"), *(row[n].plain for row in self.rows)] for n, column in enumerate(self.columns)
        ]
        words = [_widest([word for cell in column for word in cell.split()], WORD_MAX) for column in cells]
        room = options.max_width - FRAME * len(words) - EDGE
        if sum(words) > room:
            yield self._top_to_bottom()
        else:
            wanted = [_widest([part for cell in column for part in cell.splitlines()], room) for column in cells]
            yield self._side_by_side(_shared(words, wanted, room))

    def _side_by_side(self, widths: Sequence[int]) -> Table:
        made = Table(title=self.title, title_justify="left", title_style="bold", header_style="bold", expand=False)
        for column, width in zip(self.columns, widths, strict=True):
            justify = "right" if column.endswith("#") else "left"
            made.add_column(column.removesuffix("#"), justify=justify, overflow="fold", width=width)  # type: ignore[arg-type]
        for row in self.rows:
            made.add_row(*row)
        return made

    def _top_to_bottom(self) -> Table:
        made = Table(title=self.title, title_justify="left", title_style="bold", show_header=False, expand=False)
        made.add_column(style="bold")
        made.add_column(overflow="fold")
        for row in self.rows:
            for column, cell in zip(self.columns, row, strict=True):
                made.add_row(column.removesuffix("#"), cell)
            made.add_section()
        return made


def _widest(texts: Sequence[str], bound: int) -> int:
    return min(bound, max((cell_len(each) for each in texts), default=1))


def _shared(words: Sequence[int], wanted: Sequence[int], room: int) -> list[int]:
    """A width for each column: at least its words; then phrases stay on a line, and the rest goes to long texts."""
    widths = [max(1, width) for width in words]
    for bound in (PHRASE_MAX, room):
        for n in sorted(range(len(widths)), key=lambda n: wanted[n] - widths[n]):
            more = min(wanted[n], bound) - widths[n]
            widths[n] += max(0, min(more, room - sum(widths)))
    return widths
