"""The demo as a newcomer runs it: in a folder of its own, with nothing named in the environment."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from workers.cli import demo_check, flights
from workers.cli.demo_check import Figure

ROOT = Path(__file__).resolve().parents[2]
RUN_S_MAX = 240

pytestmark = pytest.mark.stack


@dataclass(frozen=True, slots=True)
class Home:
    """A folder in which the demo runs."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYLINE_")}
        return {**kept, "PYTHONPATH": str(ROOT), "TALLYLINE_HOME": str(self.folder / "home")}

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "workers", *words],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=RUN_S_MAX)
        return process.returncode, out, err

    def servers(self) -> list[str]:
        """The command lines of PostgreSQL processes that still run in this folder."""
        said = subprocess.run(["ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
        return [line for line in said.stdout.splitlines() if str(self.folder / "home" / "pg") in line]

    def is_quiet_within(self, seconds: float) -> bool:
        return eventually(lambda: not self.servers(), within_s=seconds)

    def is_up(self) -> bool:
        return eventually(lambda: bool(self.servers()), within_s=60)


def eventually(claim: Callable[[], bool], *, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that the account of a root user's PostgreSQL may enter, so that the data lie in it and go with it."""
    with tempfile.TemporaryDirectory(prefix="tly-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="module")
def billed() -> Iterator[tuple[Home, dict]]:
    """A folder where the demo has run once, and what it printed."""
    with open_folder() as folder:
        home = Home(folder)
        code, out, err = home.run("demo", "--json")
        assert code == 0, err
        yield home, json.loads(out)


@pytest.fixture
def home() -> Iterator[Home]:
    with open_folder() as folder:
        made = Home(folder)
        yield made
        assert made.is_quiet_within(30)


def test_the_month_comes_to_its_control_totals_in_every_figure(billed):
    home, told = billed

    assert told["events"]["accepted"] == told["sent"]["accepted"] == 27_004
    assert told["control_totals"]["wrong"] == []
    assert told["control_totals"]["figures"] > 90
    assert told["differences"] == []
    assert {each["metric"]: (each["excluded"], each["excepted"]) for each in told["usage"]} == {
        "aircraft": (521, 0),
        "departures": (521, 0),
        "distance": (521, 85),
    }
    assert {each["id"]: each["documents"] for each in told["legal_entities"]} == {"pony": 15, "newark": 10}
    assert len(list((home.folder / "home" / "ledgers").rglob("2013-01/*.journal"))) == 25


def test_the_second_time_every_event_is_a_duplicate_and_no_cent_changes(billed):
    home, told = billed

    code, out, err = home.run("demo", "--json")
    again = json.loads(out)

    assert code == 0, err
    assert again["sent"] == {"accepted": 0, "duplicate": 27_004, "refused": 0, "unreadable": 0}
    assert again["legal_entities"] == told["legal_entities"]
    assert again["usage"] == told["usage"]
    assert home.is_quiet_within(10)


def test_the_three_next_commands_work_as_they_stand(billed):
    home, _ = billed

    code, out, _ = home.run("demo")
    assert code == 0
    assert "agree to the cent" in out

    for words in (["status", "--identity"], ["trace", "/ops/ewr", "2013-01-01/UA/1545/EWR/0515"], ["exceptions"]):
        assert " ".join(words) in out
        assert home.run(*words)[0] == 0


def test_a_person_sees_the_exceptions_that_are_let_pass_and_why(home):
    code, out, err = home.run("demo")

    assert code == 0, err
    assert "quantity_missing let pass by" in err
    assert "diverted flights" in err
    assert "Open exceptions" in err
    assert "Port of New York" in out


@pytest.mark.parametrize("after_s", [2.0, 4.0, 6.0])
def test_a_run_that_is_killed_is_finished_by_the_next_to_the_same_cent(home, billed, after_s):
    killed = home.start("demo")
    time.sleep(after_s)  # where it is then does not matter: any moment must do
    killed.send_signal(signal.SIGKILL)
    killed.communicate()

    code, out, err = home.run("demo", "--json")

    assert code == 0, err
    assert json.loads(out)["legal_entities"] == billed[1]["legal_entities"]


DIES_BEFORE = """
import os, signal, sys
from workers.cli import billing
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(billing, sys.argv.pop(1), die)
from workers.__main__ import main
main()
"""


@pytest.mark.parametrize("act", ["to_press", "to_override", "to_approve"])
def test_a_run_that_dies_before_any_act_of_a_person_is_finished_by_the_next(home, billed, act):
    script = [sys.executable, "-c", DIES_BEFORE, act, "demo"]
    died = subprocess.run(
        script, env=home.environment, cwd=home.folder, capture_output=True, timeout=RUN_S_MAX, check=False
    )
    assert died.returncode == -signal.SIGKILL, died.stderr

    code, out, err = home.run("demo", "--json")

    assert code == 0, err
    assert json.loads(out)["legal_entities"] == billed[1]["legal_entities"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_leaves_nothing_running(home, number):
    stopped = home.start("demo")
    assert home.is_up()
    stopped.send_signal(number)
    _, err = stopped.communicate(timeout=60)

    assert stopped.returncode == 130
    assert "stopped" in err
    assert home.is_quiet_within(20)


def test_a_home_in_use_is_said_so_with_3(home):
    first = home.start("demo")
    assert home.is_up()

    code, _, err = home.run("status")
    first.send_signal(signal.SIGKILL)
    first.communicate()

    assert code == 3
    assert "in use by process" in " ".join(err.split())


def test_what_the_demo_does_not_know_is_in_the_way_by_name(home, tmp_path):
    home.run("demo", "--json")
    stranger = next(flights.events(flights.FLIGHTS)) | {"id": "x", "subject": "ZZ", "time": "2013-01-09T10:00:00Z"}
    known = next(flights.events(flights.FLIGHTS)) | {"id": "late"}
    (tmp_path / "events.jsonl").write_text(json.dumps(stranger) + "\n" + json.dumps(known) + "\n")
    assert home.run("send", str(tmp_path / "events.jsonl"))[0] == 0

    code, _, err = home.run("demo")

    assert code == 1
    assert "subscription_not_found is in the way of run 3" in " ".join(err.split())


def test_the_demo_is_no_thing_of_a_fleet(home):
    process = subprocess.run(
        [sys.executable, "-m", "workers", "demo"],
        env={**home.environment, "TALLYLINE_MODE": "fleet"},
        cwd=home.folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.returncode == 2
    assert "runs without a fleet" in " ".join(process.stderr.split())


def test_a_figure_that_differs_is_named_and_ends_with_1(billed, monkeypatch, tmp_path):
    from typer.testing import CliRunner

    from workers.cli.app import app
    from workers.cli.reach import forget

    home, _ = billed
    slip = tmp_path / "control_totals.py"
    slip.write_text(demo_check.SCRIPT.read_text().replace('"38.9050"', '"38.9051"'))
    (tmp_path / "flights-2013-01.csv.gz").symlink_to(demo_check.SCRIPT.with_name("flights-2013-01.csv.gz"))
    monkeypatch.setattr(demo_check, "SCRIPT", slip)
    monkeypatch.setenv("TALLYLINE_HOME", str(home.folder / "home"))
    for name in ("TALLYLINE_DATABASE_URL", "TALLYLINE_MODE"):
        monkeypatch.delenv(name, raising=False)
    forget()

    ran = CliRunner().invoke(app, ["demo"], catch_exceptions=False)
    forget()

    assert ran.exit_code == 1
    assert "What differs" in ran.stdout
    assert "net of newark" in ran.stdout
    assert "agree to the cent" not in ran.stdout


def test_control_totals_that_cannot_be_made_end_with_what_they_said(monkeypatch, tmp_path):
    from workers.cli.console import Failure

    broken = tmp_path / "control_totals.py"
    broken.write_text("raise SystemExit('no flights')\n")
    monkeypatch.setattr(demo_check, "SCRIPT", broken)

    with pytest.raises(Failure, match="no flights"):
        demo_check.control_totals()


def test_figures_are_compared_as_texts_to_the_last_digit():
    assert Figure("net", "1.00", "1.00").is_equal
    assert not Figure("net", "1.00", "1.01").is_equal
