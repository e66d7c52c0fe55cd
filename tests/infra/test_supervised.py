import os
import signal
import subprocess
import sys

import pytest
from processes import eventually

from workers.embedded.former import command_line
from workers.embedded.supervised import NotStarted, Program, Supervised
from workers.embedded.supervisor import children_of

pytestmark = pytest.mark.stack


@pytest.fixture
def run(tmp_path):
    """Starts a shell line under a supervisor, its output in a log."""
    made = []

    def start(line, **options):
        program = Program(
            argv=("/bin/sh", "-c", line),
            environment={"PATH": os.defpath, "FOLDER": str(tmp_path)},
            folder=tmp_path,
            log_path=tmp_path / "log",
            **options,
        )
        made.append(Supervised(program))
        return made[-1]

    yield start
    for supervised in made:
        supervised.end()


def test_the_exit_code_is_the_programs(run):
    assert run("exit 7").wait(10) == 7


def test_a_signal_reads_as_128_and_its_number(run):
    running = run("kill -9 $$")

    assert running.wait(10) == 128 + signal.SIGKILL


def test_a_program_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(NotStarted, match="no-such-program"):
        Supervised(Program(argv=("/no-such-program",), environment={}, folder=tmp_path))


def test_what_a_program_wrote_last_is_kept(run):
    running = run("echo some words")

    running.wait(10)

    assert running.log_end() == "some words\n"


def test_a_signal_reaches_the_whole_group(run):
    running = run("trap 'echo got it; exit 3' INT; echo up; sleep 60 & wait")
    eventually(lambda: "up" in running.log_end())

    running.signal(signal.SIGINT)

    assert running.wait(10) == 3
    assert "got it" in running.log_end()


def test_a_signal_to_a_program_that_has_ended_is_nothing(run):
    running = run("true")
    running.wait(10)

    running.signal(signal.SIGINT)
    running.end()
    running.signal(signal.SIGINT)


def test_a_program_that_ignores_the_polite_signal_is_killed(run):
    running = run("trap '' TERM; echo up; while :; do sleep 0.1; done", grace_s=0.2)
    eventually(lambda: "up" in running.log_end())

    assert running.end() == 128 + signal.SIGKILL


def test_signals_ignored_by_us_are_not_ignored_by_the_program(run):
    running = run("kill -HUP $$; sleep 60")

    assert running.wait(10) == 128 + signal.SIGHUP


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt orphans")
def test_processes_that_left_the_group_end_with_the_program(run, tmp_path):
    running = run("setsid sh -c 'echo $$ > $FOLDER/pid; sleep 60' & while [ ! -s $FOLDER/pid ]; do sleep 0.05; done")

    assert running.wait(10) == 0

    assert command_line(int((tmp_path / "pid").read_text())) == []


def test_folders_are_removed_and_the_farewell_is_said_after_the_end(run, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    running = run(
        "echo data > $FOLDER/gone/file; exec sleep 60",
        remove=(gone,),
        farewell=("/bin/sh", "-c", "echo farewell > $FOLDER/said"),
    )
    eventually((gone / "file").exists)

    running.end()

    assert not gone.exists()
    assert (tmp_path / "said").read_text() == "farewell\n"


def test_without_a_program_only_the_end_is_supervised(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()

    with Supervised(Program(argv=(), environment={}, folder=tmp_path, remove=(gone,))) as guard:
        assert guard.is_running()
        assert gone.exists()

    assert not gone.exists()


OWNER = """
import time
from pathlib import Path
from workers.embedded.supervised import Program, Supervised
running = Supervised(Program(argv=("/bin/sleep", "77"), environment={}, folder=Path("/")))
print(running.pid, flush=True)
time.sleep(60)
"""


def test_the_program_ends_when_its_owner_is_killed(script):
    owner = script.start("-c", OWNER)
    pid = int(owner.stdout.readline())

    owner.kill()

    eventually(lambda: command_line(pid) == [])


def test_the_program_ends_although_a_forked_copy_of_the_owner_lives_on(script):
    copying = OWNER.replace("time.sleep(60)", "import os; os.fork() or (time.sleep(4), os._exit(0)); time.sleep(60)")
    owner = script.start("-c", copying)
    pid = int(owner.stdout.readline())
    eventually(lambda: len(children_of(owner.pid)) == 2)

    owner.kill()

    eventually(lambda: command_line(pid) == [], timeout_s=3)


def test_a_supervisor_asked_by_the_system_to_end_ends_its_program(run):
    running = run("echo up; exec sleep 60")
    eventually(lambda: "up" in running.log_end())

    os.kill(running._process.pid, signal.SIGTERM)

    assert running.wait(10) == 128 + signal.SIGTERM


def test_a_supervisor_killed_before_its_report_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(NotStarted, match="supervisor died"):
        Supervised(Program(argv=("/bin/true",), environment={}, folder=tmp_path))


def test_waiting_has_an_end(run):
    with pytest.raises(subprocess.TimeoutExpired):
        run("exec sleep 60").wait(0.05)
