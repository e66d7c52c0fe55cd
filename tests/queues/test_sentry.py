"""Sentry away or slow holds up no step and no end of a process, and what reaches it names nobody."""

import json
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from fake_sentry import FakeSentry

from queues.scrubbing import SENTENCE_LENGTH_MAX, masked, scrub, scrub_crumb
from queues.telemetry import SENTRY_EXIT_S_MAX

HERE = Path(__file__).parent
#: Each failing step also writes its traceback; a machine with much else to do needs seconds for that, Sentry for none.
STEPS_S_MAX = 15.0
START_S_MAX = 10.0


@pytest.fixture
def sentry():
    sentry = FakeSentry()
    yield sentry
    sentry.close()


def run(dsn):
    """Start the process; how long its steps took, and how long it took to end after them."""
    environment = os.environ | {"PYTHONPATH": f"{HERE.parents[1]}:{HERE}"}
    with subprocess.Popen(
        [sys.executable, str(HERE / "reporting_process.py"), dsn], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        steps_s = float(process.stdout.readline())
        ending = time.monotonic()
        process.wait(60)
        return steps_s, time.monotonic() - ending


@pytest.mark.parametrize("how", ["there", "closed", "silent"])
def test_steps_and_the_end_of_a_process_wait_for_no_sentry(sentry, how):
    with {"there": nullcontext, "closed": sentry.away, "silent": sentry.silent}[how]():
        steps_s, end_s = run(sentry.dsn)

    assert steps_s < STEPS_S_MAX
    assert end_s < SENTRY_EXIT_S_MAX + 3


def test_a_report_says_which_error_and_where_and_names_nobody(sentry):
    run(sentry.dsn)

    events = sentry.events()
    assert events
    (error,) = events[0]["exception"]["values"]
    assert (error["type"], error["value"]) == ("ValueError", "no account of […], DE[…], […] in row 1")
    assert error["stacktrace"]["frames"][-1]["function"] == "fail"
    assert not any("vars" in frame for frame in error["stacktrace"]["frames"])
    everything = "".join(sentry.envelopes)
    assert "sys.argv" not in everything
    # our source around the line goes along, so the name in it is looked for where values are
    assert "Mustermann" not in json.dumps([[each["exception"]["values"][0]["value"], each["extra"]] for each in events])
    assert "3704 0044" not in json.dumps([each.get("breadcrumbs") for each in events])
    assert not {"user", "request"} & set(events[0])


@pytest.mark.parametrize(("sentence", "told"), [
    ("no price for distance", "no price for distance"),
    ("invalid literal for int() with base 10: 'Max Mustermann'", "invalid literal for int() with base 10: […]"),
    ('subject "Max" is unknown', "subject […] is unknown"),
    ("call +49 170 1234567 now", "call +[…] now"),
    ("row 17 of 200", "row 17 of 200"),
    ("max@example.com is no account", "[…] is no account"),
    ("new row violates check\nDETAIL:  Failing row contains (1, Max, Bonn).", "new row violates check"),
    ("\n", ""),
    ("x" * 1000, "x" * SENTENCE_LENGTH_MAX),
])  # fmt: skip
def test_a_sentence_is_masked(sentence, told):
    assert masked(sentence) == told


class Record:
    def __init__(self, msg):
        self.msg = msg


def test_a_log_line_of_ours_goes_with_its_ids_and_one_of_a_library_masked():
    event = {"user": {"ip": "1.2.3.4"}, "request": {"data": "Max"}, "message": "Max", "extra": {"sys.argv": ["Max"]},
             "logentry": {"message": "{'event': 'step failed'}", "params": ["Max"]}}  # fmt: skip
    ours = {"log_record": Record({"event": "step failed", "work": 17, "step": "rate", "subject": "Max"})}

    assert scrub(dict(event), ours) == {"logentry": {"message": "step failed"}, "extra": {"work": "17", "step": "rate"}}
    theirs = scrub(
        {"logentry": {"message": "disk 'Max' full", "params": ["Max"]}}, {"log_record": Record("disk %s full")}
    )
    assert theirs == {"logentry": {"message": "disk […] full"}, "extra": {}}
    assert scrub({}, {}) == {"extra": {}}


def test_a_breadcrumb_keeps_where_and_when_it_fell_and_no_data():
    crumb = {"type": "log", "category": "query", "level": "info", "timestamp": "now", "data": {"name": "Max"},
             "message": "select 'Max'"}  # fmt: skip

    assert scrub_crumb(dict(crumb), {}) == {
        "type": "log", "category": "query", "level": "info", "timestamp": "now", "message": "select […]",
    }  # fmt: skip
    said = scrub_crumb({"message": "{'event': 'x'}"}, {"log_record": Record({"event": "leads", "role": "Max"})})
    assert said == {"message": "leads"}
