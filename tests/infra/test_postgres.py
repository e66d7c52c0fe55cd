import os
import shutil
import signal
import stat
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from processes import eventually, is_clean

from workers.embedded import binaries, cluster, postgres
from workers.embedded.former import command_line, end_former_server, is_server_of
from workers.embedded.postgres import DataOfAnotherVersion, HomeInUse, running_postgres
from workers.embedded.supervised import NotStarted, Supervised

pytestmark = pytest.mark.stack

IS_ROOT = os.geteuid() == 0

#: Starts a PostgreSQL on the home folder of its first argument, says where, and waits for its death.
OWNER = """
import sys, time
from pathlib import Path
from workers.embedded.postgres import running_postgres
with running_postgres(Path(sys.argv[1]), durable=sys.argv[2] == "durable") as server:
    print((server.data / "postmaster.pid").read_text().split()[0], server.url, flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def home():
    """A home folder with a finished database that all tests use one after the other, and leave in order."""
    home = Path(f"/tmp/tlt-home-{os.getpid()}")
    home.mkdir(mode=0o755)
    with running_postgres(home, durable=True, options={"fsync": "off"}) as server, psycopg.connect(server.url) as conn:
        conn.execute("create table kept (word text)")
        conn.execute("insert into kept values ('first')")
    yield home
    shutil.rmtree(home)


@contextmanager
def spoilt(path, text):
    """The file says something else for a while; without a text it is away."""
    kept = path.read_text()
    path.write_text(text) if text else path.unlink()
    yield
    path.write_text(kept)


def words(url):
    with psycopg.connect(url) as conn:
        return [word for (word,) in conn.execute("select word from kept").fetchall()]


def test_a_durable_database_is_there_again_in_the_next_run(home):
    with running_postgres(home, durable=True) as server:
        kept = words(server.url)
        with psycopg.connect(server.url) as conn:
            synced = conn.execute("select current_setting('fsync'), current_setting('synchronous_commit')").fetchone()

    assert kept == ["first"]
    assert synced == ("on", "on")
    assert not (home / "pg" / "server" / "data" / "postmaster.pid").exists()


def test_a_throw_away_database_leaves_nothing(folder, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(folder))

    with running_postgres(folder, durable=False, options={"max_connections": "33"}) as server:
        with psycopg.connect(server.url) as conn:
            found = conn.execute(
                "select current_setting('max_connections'), current_setting('TimeZone'),"
                " current_setting('deadlock_timeout'), current_database()"
            ).fetchone()
        assert not is_clean(folder)

    assert found == ("33", "UTC", "100ms", "tallyline")
    assert is_clean(folder)


def test_only_the_password_opens_the_database_and_only_we_can_read_it(home):
    with running_postgres(home, durable=True) as server:
        wrong = server.url.replace(urlsplit(server.url).password, "guessed")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)
        assert not cluster.answers(wrong)
        assert cluster.answers(server.url)

    assert stat.S_IMODE((home / "pg" / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "pg" / "server").stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["durable", "throw-away"])
def test_the_server_stops_when_its_owner_is_killed(script, home, kind):
    owner = script.start("-c", OWNER, str(home), kind)
    pid = int(owner.stdout.readline().split()[0])

    owner.kill()

    eventually(lambda: command_line(pid) == [])


def test_two_runs_on_one_home_are_told_apart(script, home):
    owner = script.start("-c", OWNER, str(home), "durable")
    owner.stdout.readline()

    with pytest.raises(HomeInUse, match=f"process {owner.pid}"), running_postgres(home, durable=True):
        pass

    owner.kill()  # and it stays a zombie, since nobody asks how it ended
    with running_postgres(home, durable=True) as server:  # waits for the dead owner's server
        assert words(server.url) == ["first"]


def test_a_server_that_lost_owner_and_supervisor_is_ended_by_the_next_run(script, home):
    owner = script.start("-c", OWNER, str(home), "durable")
    pid = int(owner.stdout.readline().split()[0])
    supervisor = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(supervisor, signal.SIGKILL)
    owner.kill()
    assert command_line(pid)

    with running_postgres(home, durable=True) as server:
        assert words(server.url) == ["first"]
        assert command_line(pid) == []


def test_a_pid_file_that_names_somebody_elses_process_does_not_stop_us(home):
    (home / "pg" / "server" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n/elsewhere\n")

    with running_postgres(home, durable=True) as server:
        assert words(server.url) == ["first"]


def test_a_process_that_is_gone_is_no_server(folder):
    gone = Supervised(cluster.Program(argv=("/bin/true",), environment={}, folder=folder))
    gone.wait(10)

    assert command_line(gone.pid) == []
    assert not is_server_of(gone.pid, folder)
    end_former_server(folder)
    gone.end()


def test_data_of_another_version_is_refused_by_name(home):
    with (
        spoilt(home / "pg" / "server" / "data" / "PG_VERSION", "9\n"),
        pytest.raises(DataOfAnotherVersion, match="PostgreSQL 9, this is"),
        running_postgres(home, durable=True),
    ):
        pass


def test_a_half_made_database_is_made_anew(folder):
    place = folder / "home" / "pg" / "server"
    (place / "data.new").mkdir(parents=True)
    (place / "data.new" / "PG_VERSION").write_text("torn")
    (folder / "home").chmod(0o755)

    with running_postgres(folder / "home", durable=True, options={"fsync": "off"}) as server:
        assert cluster.answers(server.url)


def test_a_setting_that_the_server_refuses_is_shown_in_its_own_words(home):
    with (
        pytest.raises(NotStarted, match="no_such_setting"),
        running_postgres(home, durable=True, options={"no_such_setting": "1"}),
    ):
        pass


def test_a_taken_port_is_not_the_end(home, monkeypatch):
    with running_postgres(home, durable=True) as first:
        ports = iter([first.port])
        real = cluster.free_port
        monkeypatch.setattr(cluster, "free_port", lambda: next(ports, None) or real())

        with running_postgres(home, durable=False) as second:
            assert second.port != first.port


def test_a_named_folder_without_postgres_is_an_error(tmp_path):
    with pytest.raises(binaries.PostgresNotFound, match="TALLYLINE_PG_BINDIR"):
        binaries.located({"TALLYLINE_PG_BINDIR": str(tmp_path)})


def test_a_named_folder_wins():
    found = binaries.located({})

    named = binaries.located({"TALLYLINE_PG_BINDIR": str(found.root / "bin")})

    assert named == found


def test_an_old_postgres_is_not_used(tmp_path):
    for name in ("postgres", "initdb"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 12.3'\n")
        (tmp_path / name).chmod(0o755)

    with pytest.raises(binaries.PostgresNotFound, match="16 or newer"):
        binaries.located({"TALLYLINE_PG_BINDIR": str(tmp_path)})


def test_without_any_postgres_the_ways_to_get_one_are_told(monkeypatch, tmp_path):
    monkeypatch.setattr(binaries, "_wheel_bindir", lambda: None)
    monkeypatch.setattr(binaries, "_system_bindirs", lambda _environment: [tmp_path])

    with pytest.raises(binaries.PostgresNotFound, match=r"tallyline\[embedded\]"):
        binaries.located({})


@pytest.mark.skipif(not IS_ROOT, reason="only root needs another account")
def test_as_root_another_account_runs_the_server(home):
    with running_postgres(home, durable=True) as server:
        pid = int((server.data / "postmaster.pid").read_text().split()[0])
        assert Path(f"/proc/{pid}").stat().st_uid != 0


@pytest.mark.skipif(not IS_ROOT, reason="only root needs another account")
def test_as_root_without_another_account_there_is_a_clear_error(monkeypatch):
    monkeypatch.setattr(binaries, "_ACCOUNT_NAMES", ("no-such-account",))

    with pytest.raises(binaries.PostgresNotFound, match="does not run as root"):
        binaries.server_account()


@pytest.mark.skipif(not IS_ROOT, reason="only root needs another account")
def test_programs_and_data_below_a_closed_folder_go_where_the_account_may_enter(folder, monkeypatch):
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    package = binaries.located({}).root.parent
    for name in (package.name, f"{package.name}.libs"):
        shutil.copytree(
            package.parent / name, closed / name, ignore=shutil.ignore_patterns("include", "*.a", "pginstall")
        )
    monkeypatch.setattr(postgres, "ROOT_STATE", folder / "state")
    named = {"TALLYLINE_PG_BINDIR": str(closed / package.name / binaries.located({}).root.name / "bin")}

    for _ in range(2):
        with running_postgres(closed / "home", durable=True, options={"fsync": "off"}, environment=named) as server:
            assert cluster.answers(server.url)

    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert (closed / "home" / "pg" / "elsewhere").readlink().parent == folder / "state"


def test_a_password_file_that_was_lost_is_named(home):
    with (
        spoilt(home / "pg" / "password", ""),
        pytest.raises(NotStarted, match="password"),
        running_postgres(home, durable=True),
    ):
        pass
