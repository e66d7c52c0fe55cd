"""Posts one document in a process that is killed at its n-th line, for every n, and says what was left each time."""

import json
import os
import signal
import sys
from pathlib import Path

from erp_documents import document

from workers.erp.ledger_file import LedgerFile
from workers.erp.protocol import Resume

LINES_MAX = 2_000


def post(folder: Path) -> None:
    LedgerFile(folder).post(document("TL-1"), Resume(keep_draft=lambda _ref: None))


def killed_at(line: int, folder: Path) -> bool:
    """Whether the child still had that many lines to run."""
    child = os.fork()
    if child == 0:
        left = line

        def tick(frame, event, _argument):
            nonlocal left
            if not frame.f_code.co_filename.endswith("ledger_file.py"):
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return tick

        sys.settrace(tick)
        post(folder)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def main(root: Path) -> None:
    """One folder for each place to die, and then the post that follows a restart."""
    report = []
    for line in range(1, LINES_MAX):
        folder = root / f"{line:04}"
        is_killed = killed_at(line, folder)
        found = LedgerFile(folder).find("TL-1")
        files = [each.name for each in folder.glob("*/*.journal") if each.name.startswith("TL-")]
        post(folder)
        again = [each.name for each in folder.glob("*/*.journal") if each.name.startswith("TL-")]
        whole = LedgerFile(folder).read_back("2013-01/TL-1.journal").totals == document("TL-1").totals
        report.append({"line": line, "found": found is not None, "left": files, "after": again, "whole": whole})
        if not is_killed:
            break
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
