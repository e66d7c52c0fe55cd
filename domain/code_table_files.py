"""The codes of usage files and of the readings of registers; three lines each, as in `code_table.py`."""

from typing import Final

#: Why a row of a usage file is no event.
OF_FILES: Final = """
row_unreadable medium
    A line of a usage file is no row of it: too long, not UTF-8, not JSON, or with more or fewer cells than its heading.
    Write one row a line, in UTF-8, with as many cells as the heading.
register_reading_ambiguous high
    A register shows less than before, which neither a marked reset nor a plausible roll-over explains.
    Mark the reset or correct the reading: in the file, and import it again; of usage, `tallyline replay edit`.
register_reading_implausible high
    A register shows less than zero, more than it can hold, or so much more than before that the reading must be wrong.
    Correct the reading in the file, and import it again; of usage, `tallyline replay edit`, or dismiss it.
register_reading_late medium
    A reading lies before the last one that was taken, so the difference that was made then holds its usage already.
    Nothing is lost; leave it out, or import the readings of a period together.
usage_withdrawn high
    A person took usage back that counted, to be corrected or left out.
    `tallyline replay edit` corrects it, `tallyline replay dismiss` leaves it out, `tallyline replay` counts it again.
usage_not_attributed medium
    No event of that source and id counts under a metric of that name.
    `tallyline trace SOURCE EVENT` shows what counts, and under which metrics.
register_readings_conflict medium
    Two readings of a register at one instant differ.
    Keep the right one, or mark the one after a reset: in the file, and import it again; of usage, dismiss or edit.
"""
