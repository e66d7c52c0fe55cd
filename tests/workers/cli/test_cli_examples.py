"""The help of every command ends the search for how it is written: with an example of it."""

import re

import pytest
import typer
from typer.core import TyperGroup

from workers.cli.app import app

pytestmark = pytest.mark.fast


def commands(command, words=("tallyline",)):
    """All that can be run, with the words that run it."""
    if not isinstance(command, TyperGroup):
        yield " ".join(words), command
        return
    if command.invoke_without_command:
        yield " ".join(words), command
    for name, each in command.commands.items():
        yield from commands(each, (*words, name))


FOUND = dict(commands(typer.main.get_command(app)))


def test_all_commands_are_looked_at():
    assert {"tallyline demo", "tallyline exceptions", "tallyline exceptions list", "tallyline credits show"} <= set(
        FOUND
    )
    assert len(FOUND) > 60


@pytest.mark.parametrize("words", FOUND)
def test_the_help_of_a_command_has_an_example_of_it(words):
    said = " ".join((FOUND[words].help or "").split())

    (example,) = re.findall(r"Example: `?(tallyline .*)", said)
    # the command that is used most may leave out its name
    assert example.startswith((words, words.removesuffix(" new")))
