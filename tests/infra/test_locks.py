import json
import re
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.fast

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "infra" / "requirements").glob("*.txt"))
NODE = ROOT / "infra" / "node"
#: Put together here, since this file is searched too.
PACKAGE_HOSTS = [f"{name}.{end}" for name in ("pypi", "pythonhosted", "npmjs") for end in ("org", "com")]
SUFFIXES = {".py", ".toml", ".txt", ".json", ".yaml", ".yml", ".md", ".cfg", ".ini", ""}
#: Made by tools, and in no commit.
IGNORED = {".git", ".venv", ".dev", ".tallyline", "node_modules", "__pycache__"}


def tree(folder):
    for path in folder.iterdir():
        if path.name in IGNORED or path.name.endswith("_cache"):
            continue
        yield from tree(path) if path.is_dir() else [path]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_names_no_host_and_no_file(lock):
    text = lock.read_text()

    assert re.findall(r"\w+://\S+|file:\S+|--\w*index\w*|--find-links", text) == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_requirement_of_a_lock_has_one_version_and_hashes(lock):
    blocks = re.split(r"\n(?=[a-z0-9])", re.sub(r"^\s*#.*\n", "", lock.read_text(), flags=re.MULTILINE).strip())

    for block in blocks:
        assert re.match(r"[a-z0-9][a-z0-9._-]*(\[[a-z,]+\])?==[0-9]", block), block
        assert "--hash=sha256:" in block, block


def test_the_lock_of_node_has_hashes_and_names_no_host():
    packages = json.loads((NODE / "package-lock.json").read_text())["packages"]

    locked = [package for name, package in packages.items() if name]
    assert locked
    assert all("integrity" in package and "resolved" not in package for package in locked)


def test_the_locks_hold_every_dependency_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    run = [*project["project"]["dependencies"], *(each for extra in extras for each in extra)]
    dev = project["dependency-groups"]["dev"]

    assert names(run) - locked("run") == set()
    assert names(dev) - locked("dev") == set()
    assert names(json.loads((NODE / "package.json").read_text())["dependencies"]) - node_locked() == set()


def names(requirements):
    return {re.match(r"[A-Za-z0-9._-]+", each)[0].lower().replace("_", "-") for each in requirements}


def locked(kind):
    text = (ROOT / "infra" / "requirements" / f"{kind}.txt").read_text()
    return set(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==", text, re.MULTILINE))


def node_locked():
    packages = json.loads((NODE / "package-lock.json").read_text())["packages"]
    return {name.removeprefix("node_modules/") for name in packages}


def test_nothing_in_the_repository_names_a_package_host():
    found = [
        str(path.relative_to(ROOT))
        for path in tree(ROOT)
        if path.suffix in SUFFIXES and any(host in path.read_text(errors="replace") for host in PACKAGE_HOSTS)
    ]

    assert found == []
