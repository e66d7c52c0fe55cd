"""Runs the stack as users do. Redis alone where any server would do: it starts in no time."""

import json
import os
import pty
import signal
import sys
import time

import pytest
from processes import eventually, is_clean

pytestmark = pytest.mark.stack

SHOW = """
import json, os, time
print(json.dumps({name: value for name, value in os.environ.items() if name.startswith("TALLYLINE_")}), flush=True)
time.sleep(100)
"""
#: Prints the addresses and waits to be ended.
SHOW_AND_WAIT = (sys.executable, "-c", SHOW)
REDIS = ("--only", "redis")


def addresses(process):
    for line in process.stdout:
        if line.startswith("{"):
            return json.loads(line)
    raise AssertionError("the stack ended before its command ran")


def test_the_exit_code_is_the_commands(script):
    run = script.stack(*REDIS, command=("sh", "-c", "exit 7"))

    assert run.wait(30) == 7


def test_what_the_command_left_behind_ends_with_it(script):
    daemon = "import os, time\nif not os.fork():\n    os.setsid()\n    os.fork() or time.sleep(100)\n"
    run = script.stack(*REDIS, command=(sys.executable, "-c", daemon))

    assert run.wait(30) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_command_and_servers(script, number):
    run = script.stack(*REDIS, command=SHOW_AND_WAIT)
    addresses(run)

    run.send_signal(number)

    assert run.wait(15) == 128 + signal.SIGTERM  # the command's


def test_a_kill_of_the_stack_ends_command_and_servers(script):
    run = script.stack(*REDIS, command=SHOW_AND_WAIT)
    addresses(run)

    run.kill()


def test_a_kill_of_whoever_started_the_stack_ends_it(script):
    """As when make is killed: nothing is sent to the stack, it notices by itself."""
    words = [sys.executable, "-m", "infra.stack", *REDIS, "--", *SHOW_AND_WAIT]
    parent = script.start("-c", f"import subprocess; subprocess.run({words!r})")
    addresses(parent)

    parent.kill()


@pytest.fixture
def terminal(script):
    """Runs the stack as the job of a shell-like leader on a terminal of its own; yields (leader, terminal)."""
    opened = []

    def start(*words, command):
        master, slave = pty.openpty()
        stack = [sys.executable, "-m", "infra.stack", *words, "--", *command]
        # The leader makes the terminal its own (opening it does) and, like make, does nothing about its end.
        leader = script.start(
            "-c",
            f"import os, signal, subprocess; os.open({os.ttyname(slave)!r}, os.O_RDWR)\n"
            f"signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
            f"subprocess.run({stack!r}, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))",
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        opened.append(master)
        return leader, os.fdopen(master, "r", closefd=False)

    yield start
    for master in opened:
        os.close(master)


def read_until(words, shown):
    for line in shown:
        if words in line:
            return
    raise AssertionError(f"the stack ended before it said {words}")


def test_ctrl_c_reaches_the_command_and_ends_all(terminal):
    command = (
        sys.executable,
        "-c",
        "import time\nprint('up', flush=True)\ntry: time.sleep(100)\nexcept KeyboardInterrupt: print('asked to stop')",
    )
    leader, shown = terminal(*REDIS, command=command)
    read_until("up", shown)

    os.write(shown.fileno(), b"\x03")

    read_until("asked to stop", shown)
    assert leader.wait(15) == 0


def test_ctrl_c_while_servers_start_is_quick(terminal):
    leader, shown = terminal(command=("true",))
    read_until("redis ready", shown)
    asked_at = time.monotonic()

    os.write(shown.fileno(), b"\x03")

    leader.wait(15)
    assert time.monotonic() - asked_at < 5


def test_a_closed_terminal_ends_all(script, folder):
    master, slave = pty.openpty()
    stack = [sys.executable, "-m", "infra.stack", *REDIS, "--", *SHOW_AND_WAIT]
    leader = script.start(
        "-c",
        f"import os, subprocess, signal; signal.signal(signal.SIGHUP, lambda *_: None)\n"
        f"os.open({os.ttyname(slave)!r}, os.O_RDWR); subprocess.run({stack!r})",
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    with os.fdopen(master, "r", closefd=False) as shown:
        read_until("{", shown)

    os.close(master)

    leader.wait(15)
    eventually(lambda: is_clean(folder))


def test_a_killed_leader_of_the_session_ends_all(script):
    """The stack's parent lives on, the terminal too: only the session has lost its head."""
    stack = [sys.executable, "-m", "infra.stack", *REDIS, "--", *SHOW_AND_WAIT]
    middle = f"import subprocess, signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); subprocess.run({stack!r})"
    leader = script.start("-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {middle!r}])")
    addresses(leader)

    leader.kill()


def test_under_nohup_a_lost_session_is_meant(script, folder):
    stack = [sys.executable, "-m", "infra.stack", *REDIS, "--", "sh", "-c", "sleep 2; echo done > $TMPDIR/done"]
    middle = f"import subprocess, signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); subprocess.run({stack!r})"
    leader = script.start(
        "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {middle!r}], start_new_session=False)"
    )
    read_until("redis ready", leader.stdout)

    leader.kill()

    eventually((folder / "done").exists)
    (folder / "done").unlink()


def test_two_stacks_at_once_do_not_meet(script):
    runs = [script.stack(*REDIS, "--only", "postgres", command=SHOW_AND_WAIT) for _ in range(2)]

    first, second = (addresses(run) for run in runs)

    assert first["TALLYLINE_REDIS_URL"] != second["TALLYLINE_REDIS_URL"]
    assert first["TALLYLINE_DATABASE_URL"] != second["TALLYLINE_DATABASE_URL"]
    for run in runs:
        run.terminate()
        run.wait(15)


def test_an_address_in_the_environment_is_used_and_left_alone(script):
    outer = script.stack(*REDIS, command=SHOW_AND_WAIT)
    named = {"TALLYLINE_REDIS_URL": addresses(outer)["TALLYLINE_REDIS_URL"]}
    control = (sys.executable, "-m", "infra.stack", "control", "kill", "redis")

    inner = script.stack(*REDIS, command=control, environment=named)
    said, _ = inner.communicate(timeout=30)

    assert inner.returncode == 1
    assert "was named by TALLYLINE_REDIS_URL" in said
    assert outer.poll() is None
    outer.terminate()
    outer.wait(15)


def test_an_address_where_nobody_answers_is_an_error(script):
    run = script.stack(*REDIS, command=("true",), environment={"TALLYLINE_REDIS_URL": "redis://127.0.0.1:1/0"})

    said, _ = run.communicate(timeout=30)

    assert run.returncode == 2
    assert "redis does not answer at the address in TALLYLINE_REDIS_URL" in said


def test_half_the_addresses_of_a_rabbitmq_are_an_error(script):
    run = script.stack("--only", "rabbitmq", command=("true",), environment={"TALLYLINE_AMQP_URL": "amqp://127.0.0.1"})

    said, _ = run.communicate(timeout=30)

    assert run.returncode == 2
    assert "TALLYLINE_RABBIT_API_URL together" in said


def test_a_command_is_needed(script):
    run = script.start("-m", "infra.stack", *REDIS)

    said, _ = run.communicate(timeout=30)

    assert run.returncode == 2
    assert "name a command after --" in said
