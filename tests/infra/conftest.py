import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from processes import eventually, is_clean, processes_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder():
    """A short folder that every account may enter, and that must be left empty."""
    made = Path(tempfile.mkdtemp(prefix="tlt-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


class Script:
    """Starts Python programs that know our code, each in a session of its own, and ends what is left of them."""

    def __init__(self, folder):
        self.folder = folder
        self.started = []

    def environment(self, **more):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYLINE_")}
        return {**kept, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.folder), "PYTHONUNBUFFERED": "1", **more}

    def start(self, *words, environment=None, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL, **options}
        process = subprocess.Popen(
            [sys.executable, *words],
            env=self.environment(**(environment or {})),
            cwd=ROOT,
            text=True,
            start_new_session=True,
            **options,
        )
        self.started.append(process)
        return process

    def stack(self, *words, command, environment=None, **options):
        return self.start("-m", "infra.stack", *words, "--", *command, environment=environment, **options)

    def end_all(self):
        for process in self.started:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
            process.communicate(timeout=20)


@pytest.fixture
def script(folder):
    script = Script(folder)
    yield script
    script.end_all()
    eventually(lambda: is_clean(folder) or _words(folder))


def _words(folder):
    """Why the folder is not clean, in the form of something that is not true."""
    left = [*map(str, folder.iterdir()), *processes_of(folder)]
    return Left(left) if left else True


class Left(list):
    def __bool__(self):
        return False
