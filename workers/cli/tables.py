"""Tables that fit: columns side by side where the terminal is wide enough for their words, else row after row."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

#: Longer words are folded: a column is never wider for the sake of one.
WORD_MAX = 24
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
        widths = [self._longest_word(n) for n in range(len(self.columns))]
        fits = sum(widths) + FRAME * len(widths) + EDGE <= options.max_width
        yield self._side_by_side(widths) if fits else self._top_to_bottom()

    def _longest_word(self, column: int) -> int:
        cells = [self.columns[column].removesuffix("#"), *(row[column].plain for row in self.rows)]
        return min(WORD_MAX, max((len(word) for cell in cells for word in cell.split()), default=1))

    def _side_by_side(self, widths: Sequence[int]) -> Table:
        made = Table(title=self.title, title_justify="left", title_style="bold", header_style="bold", expand=False)
        for column, width in zip(self.columns, widths, strict=True):
            justify = "right" if column.endswith("#") else "left"
            made.add_column(column.removesuffix("#"), justify=justify, overflow="fold", min_width=width)  # type: ignore[arg-type]
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
