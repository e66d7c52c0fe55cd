"""Runs the stack as users do. Redis alone where any server would do: it starts in no time."""

import json
import os
import pty
import signal
import socket
import sys
import time

import pytest
from processes import eventually, is_clean

from infra.stack.control import Control, ControlFailed, ControlSocket

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


#: Writes something to each server, kills and starts it by the control, and reads it again.
KILL_ALL = """
import os, subprocess, urllib.request, pika, psycopg, redis
from infra.stack.control import Control, ControlFailed
where = os.environ
control = Control.from_environment()

def crash(name):
    control.kill(name)
    assert not control.is_running(name)
    control.start(name)
    assert control.is_running(name)

with psycopg.connect(where["TALLYLINE_DATABASE_URL"]) as conn:
    conn.execute("create table kept as select 7 as number")
crash("postgres")
with psycopg.connect(where["TALLYLINE_DATABASE_URL"]) as conn:
    assert conn.execute("select number from kept").fetchone() == (7,)

client = redis.Redis.from_url(where["TALLYLINE_REDIS_URL"])
client.set("kept", "7")
crash("redis")
assert client.get("kept") == b"7"
client.close()

def channel():
    return pika.BlockingConnection(pika.URLParameters(where["TALLYLINE_AMQP_URL"])).channel()

before = channel()
before.confirm_delivery()
before.queue_declare("kept", durable=True)
before.basic_publish("", "kept", b"7", pika.BasicProperties(delivery_mode=2))
crash("rabbitmq")
after = channel()
assert after.basic_get("kept", auto_ack=True)[2] == b"7"
after.connection.close()

metrics = urllib.request.urlopen(where["TALLYLINE_RABBIT_METRICS_URL"] + "/metrics").read()
assert b"rabbitmq_identity_info" in metrics
subprocess.run([where["TALLYLINE_HLEDGER"], "--version"], check=True)
try:
    control._ask("paint", "redis")
except ControlFailed as refused:
    print(refused)
print("all", "answer")
"""


def test_all_servers_answer_survive_a_kill_and_leave_nothing(script, folder):
    run = script.stack("--hledger", "--console", command=(sys.executable, "-c", KILL_ALL))

    said, _ = run.communicate(timeout=120)

    assert run.returncode == 0, said
    assert "all answer" in said
    assert "cannot paint, only kill, start, status" in said
    assert "RabbitMQ console: http://127.0.0.1:" in said
    assert is_clean(folder)


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


def test_the_control_speaks_from_the_command_line(script):
    control = f"{sys.executable} -m infra.stack control"
    line = f"{control} kill redis && {control} status redis && {control} start redis && {control} status redis"
    run = script.stack(*REDIS, command=("sh", "-c", f"{line}; {control} kill rabbitmq"))

    said, _ = run.communicate(timeout=60)

    assert "stopped\nrunning\n" in said
    assert "this stack has no rabbitmq, only redis" in said
    assert run.returncode == 1


def test_outside_of_a_stack_there_is_no_control(script):
    run = script.start("-m", "infra.stack", "control", "status", "redis")

    said, _ = run.communicate(timeout=30)

    assert run.returncode == 1
    assert "TALLYLINE_STACK_CONTROL is not set" in said


def test_a_control_whose_stack_is_gone_is_an_error(folder):
    with pytest.raises(ControlFailed, match="does not answer"):
        Control(str(folder / "nobody")).kill("redis")


def test_a_control_that_hears_nonsense_still_answers_the_next(folder):
    control = ControlSocket(folder / "control", {})
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(control.path))
        connection.sendall(b"nonsense\n")

    with pytest.raises(ControlFailed, match="this stack has no redis"):
        Control(str(control.path)).kill("redis")


def test_a_command_is_needed(script):
    run = script.start("-m", "infra.stack", *REDIS)

    said, _ = run.communicate(timeout=30)

    assert run.returncode == 2
    assert "name a command after --" in said
