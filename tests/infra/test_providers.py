"""Where servers come from, with stand-ins for the programs of other systems: apt, Homebrew, Docker."""

import os
import shutil
import subprocess
import sys
import threading

import pytest

from infra.stack import apt, compose, programs, providers
from infra.stack.household import CommandFailed, Household
from infra.stack.providers import Request, ServersMissing, provided
from infra.stack.servers import with_free_ports
from workers.embedded import binaries
from workers.embedded.supervised import NotStarted, Program

pytestmark = pytest.mark.stack

REDIS = Request(servers=("redis",))
#: The one that the stack around us would use.
REAL_REDIS = programs.redis(programs.MACHINE) or programs.redis(apt.tree(providers.STATE))


@pytest.fixture
def bare(folder, monkeypatch):
    """A machine without servers and package tools; returns a function that puts a program on the search path."""
    machine, tools = folder / "machine", folder / "tools"
    for made in (machine, tools, folder / "run"):
        made.mkdir()
    for name in ("sh", "cp", "mkdir", "cat", "env"):
        (tools / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(providers, "MACHINE", machine)
    monkeypatch.setattr(providers, "STATE", folder / "state")
    monkeypatch.setattr(apt, "_STATUS", folder / "dpkg-status")

    def add(name, *lines):
        (tools / name).write_text("\n".join(["#!/bin/sh", *lines, ""]))
        (tools / name).chmod(0o755)

    return add


@pytest.fixture
def household(folder):
    household = Household(folder / "run")
    yield household
    household.end_all()


def said_by(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def get(request, household, **environment):
    return provided(request, environment=environment, household=household)


def test_with_nothing_to_be_had_all_choices_are_told(bare, household):
    with pytest.raises(ServersMissing) as told:
        get(Request(servers=("rabbitmq", "redis"), needs_hledger=True), household)

    words = str(told.value)
    assert words.startswith("hledger and rabbitmq and redis not found on this ")
    for choice in ("Debian", "brew install", "Docker", "TALLYLINE_AMQP_URL", "installed"):
        assert choice in words


def test_an_unknown_way_to_fetch_is_refused(household):
    with pytest.raises(ServersMissing, match="choose one of auto, private, docker, none"):
        get(REDIS, household, TALLYLINE_STACK_FETCH="pigeon")


def apt_that_works(bare, folder):
    (folder / "dpkg-status").write_text("Package: libc6\nStatus: ok\n\nPackage: redis-server\nStatus: ok\n\n")
    bare(
        "apt-get",
        f'echo "$@" >> {folder}/asked',
        "for word; do case $word in Dir::Cache=*) cache=${word#*=};; *::status=*) status=${word#*=};; esac; done",
        f"cat $status > {folder}/status-seen",
        'case "$*" in *download-only*) echo deb > $cache/archives/redis.deb;; esac',
    )
    bare("dpkg-deb", "mkdir -p $3/usr/bin", "echo '#!/bin/sh' > $3/usr/bin/redis-server")


def test_apt_fills_a_tree_of_our_own_once(bare, household, folder):
    apt_that_works(bare, folder)

    for _ in range(2):
        servers = get(REDIS, household).servers

    tree = apt.tree(folder / "state")
    assert servers[0]._installed.path == str(tree / "usr/bin/redis-server")
    asked = (folder / "asked").read_text().splitlines()
    assert len(asked) == 2  # update and install, the first time only
    assert all(f"Dir::State={tree.with_suffix('.new')}" in line for line in asked)
    assert "redis-server" not in (folder / "status-seen").read_text()
    assert "libc6" in (folder / "status-seen").read_text()


def test_apt_that_fails_is_quoted(bare, household, folder):
    apt_that_works(bare, folder)
    bare("apt-get", "echo 'E: could not resolve'", "exit 100")

    with pytest.raises(ServersMissing, match="E: could not resolve"):
        get(REDIS, household)


def test_apt_that_downloads_nothing_is_an_error(bare, household, folder):
    apt_that_works(bare, folder)
    bare("apt-get", "exit 0")

    with pytest.raises(ServersMissing, match="downloaded nothing for redis-server"):
        get(REDIS, household)


def test_homebrew_installs_what_is_missing(bare, household, folder):
    cellar = folder / "machine/usr/bin"
    bare("brew", f'echo "$@" > {folder}/asked', f"mkdir -p {cellar}", f"echo > {cellar}/redis-server")

    servers = get(REDIS, household).servers

    assert (folder / "asked").read_text() == "install -q redis\n"
    assert servers[0]._installed.path == f"{folder}/machine/usr/bin/redis-server"


#: A Docker client: it asks an engine, and waits for the answer, as the real one does.
DOCKER = """
echo "$@" >> {folder}/asked
case "$*" in
  *" up "*) [ -e {folder}/busy ] && {{ rm {folder}/busy; echo "Bind: port is already allocated"; exit 1; }}
            echo "up $TALLYLINE_REDIS_PORT $TALLYLINE_COMPOSE_PASSWORD" > {folder}/ask; cat {folder}/answer;;
  *" kill "*) echo kill > {folder}/ask; cat {folder}/answer;;
  *" down "*) echo down > {folder}/ask; cat {folder}/answer;;
esac
exit 0
"""


class Engine(threading.Thread):
    """Runs a Redis as the compose file would; a container is no child of the client that asks for it."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder = folder
        self.data = folder / "container"
        self.container = None
        self.data.mkdir()
        for pipe in ("ask", "answer"):
            os.mkfifo(folder / pipe)
        self.start()

    def run(self):
        words = []
        while words != ["end"]:
            words = (self.folder / "ask").read_text().split()
            if words[0] == "up":
                self.up(port=words[1], password=words[2])
            elif self.container:
                self.container.kill()
                self.container.wait()
            if words[0] == "down":
                shutil.rmtree(self.data)
            if words != ["end"]:
                (self.folder / "answer").write_text("done")

    def up(self, *, port, password):
        settings = ["--requirepass", password, "--dir", self.data, "--appendonly", "yes", "--save", ""]
        self.container = subprocess.Popen(
            [REAL_REDIS.path, "--port", port, "--bind", "127.0.0.1", *settings],
            env=dict(REAL_REDIS.environment),
            stdout=subprocess.DEVNULL,
        )


@pytest.fixture
def docker(bare, folder):
    engine = Engine(folder)
    bare("docker", DOCKER.format(folder=folder))
    (folder / "tools" / "rm").symlink_to("/bin/rm")
    yield bare
    (folder / "ask").write_text("end")
    engine.join()


@pytest.mark.parametrize("is_port_taken", [False, True])
def test_containers_serve_survive_a_kill_and_are_taken_down(docker, household, folder, is_port_taken):
    if is_port_taken:
        (folder / "busy").touch()
    (server,) = get(REDIS, household, TALLYLINE_STACK_FETCH="docker").servers
    server.start()
    url = server.environment()["TALLYLINE_REDIS_URL"]
    assert server.is_running()

    server.kill()
    assert not server.is_running()
    server.start()
    assert server.is_running()
    assert server.environment()["TALLYLINE_REDIS_URL"] == url
    household.end_all()

    assert not server.is_running()
    assert not (folder / "container").exists()
    assert "down --volumes --timeout 0" in (folder / "asked").read_text()


def test_containers_stand_in_for_a_missing_postgres(docker, household, folder, monkeypatch):
    monkeypatch.setattr(binaries, "_wheel_bindir", lambda: None)
    monkeypatch.setattr(binaries, "_system_bindirs", lambda _environment: [])
    request = Request(servers=("postgres",), postgres_options={"work_mem": "9MB"})

    (server,) = get(request, household).servers

    assert isinstance(server, compose.ComposedServer)
    assert "work_mem=9MB" in (folder / "run" / "compose.override.json").read_text()


def test_a_container_that_serves_nobody_is_an_error(docker, household, folder, monkeypatch):
    docker("docker", "exit 0")
    monkeypatch.setattr(compose, "READY_S_MAX", 0.3)
    (server,) = get(REDIS, household, TALLYLINE_STACK_FETCH="docker").servers

    with pytest.raises(NotStarted, match="redis does not answer"):
        server.start()


def test_an_engine_that_does_not_answer_is_none(bare, monkeypatch):
    bare("docker", "exit 1")
    assert not compose.engine_answers()

    bare("docker", f"exec {sys.executable} -c 'import time; time.sleep(60)'")
    monkeypatch.setattr(compose, "ENGINE_ANSWER_S_MAX", 0.2)
    assert not compose.engine_answers()


def test_a_port_that_stays_taken_is_an_error_after_five_tries():
    tries = []

    def start():
        tries.append(1)
        raise NotStarted("Address already in use")

    with pytest.raises(NotStarted):
        with_free_ports(start)
    assert len(tries) == 5


def test_another_failure_is_not_tried_again():
    tries = []

    def start():
        tries.append(1)
        raise NotStarted("bad settings")

    with pytest.raises(NotStarted):
        with_free_ports(start)
    assert len(tries) == 1


def test_a_closed_household_starts_nothing(household, folder):
    household.end_all()

    with pytest.raises(NotStarted, match="ending"):
        household.supervise(Program(argv=("/bin/true",), environment={}, folder=folder))
    with pytest.raises(CommandFailed, match="ending"):
        household.run(["/bin/true"], environment={}, folder=folder)


def test_an_unpacked_rabbitmq_brings_an_erl_that_runs_from_where_it_lies(folder):
    assert programs.rabbitmq(folder) is None
    script = folder / "usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/sbin/rabbitmq-server"
    script.parent.mkdir(parents=True)
    script.touch()
    assert programs.rabbitmq(folder) is None
    erlexec = folder / "usr/lib/erlang/erts-13/bin/erlexec"
    erlexec.parent.mkdir(parents=True)
    erlexec.write_text('#!/bin/sh\necho "$ROOTDIR $1"\n')
    erlexec.chmod(0o755)

    found = programs.rabbitmq(folder)

    wrapper = f"{found.search_path[0]}/erl"
    assert said_by(wrapper, "word") == f"{folder}/usr/lib/erlang word\n"


def test_an_unpacked_hledger_finds_its_libraries(folder):
    program = folder / "usr/bin/hledger"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$LD_LIBRARY_PATH $1"\n')
    program.chmod(0o755)
    library = folder / "usr/lib/x86_64-linux-gnu/libgmp.so.10"
    library.parent.mkdir(parents=True)
    library.touch()

    found = programs.hledger(folder)

    assert said_by(found.path, "check") == f"{library.parent} check\n"
