"""Kills and starts the servers of a running stack, as the tests of crashes do."""

import socket
import sys

import pytest
from processes import is_clean

from infra.stack.control import Control, ControlFailed, ControlSocket

pytestmark = pytest.mark.stack

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
    run = script.stack("--hledger", command=(sys.executable, "-c", KILL_ALL))

    said, _ = run.communicate(timeout=120)

    assert run.returncode == 0, said
    assert "all answer" in said
    assert "cannot paint, only kill, start, status" in said
    assert is_clean(folder)


def test_the_control_speaks_from_the_command_line(script):
    control = f"{sys.executable} -m infra.stack control"
    line = f"{control} kill redis && {control} status redis && {control} start redis && {control} status redis"
    run = script.stack("--only", "redis", command=("sh", "-c", f"{line}; {control} kill rabbitmq"))

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
