"""A master data file as plain values and the line each stands on; YAML or JSON, and no surprises of YAML.

Only what JSON has is read: texts, whole numbers, exact decimals, true, false and null. A date stays a text, `NO` is a
text, a key given twice is refused, and there are no aliases, so a small file cannot become a large one.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

Place = tuple[str | int, ...]

#: Larger files are split; one of this size holds some 30,000 contracts.
FILE_BYTES_MAX = 16 * 2**20
#: Nesting of lists and mappings.
DEPTH_MAX = 32
#: Nesting at which reading ends, since whoever composes a node stands on those around it.
COMPOSED_DEPTH_MAX = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the file that cannot be loaded as it is."""

    line: int
    field: str
    sentence: str
    fix: str
    place: Place = ()
    is_missing: bool = False  # it names something that is not there

    def to_text(self, file: Path) -> str:
        """Tell it in one line that names the file, the line, the field and what to do."""
        place = f"{file}:{self.line}: " if self.line else f"{file}: "
        return f"{place}{self.field}{': ' if self.field else ''}{self.sentence}; {self.fix}"


class MasterInvalid(Exception):
    """The file cannot be loaded; nothing of it was."""

    def __init__(self, file: Path, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.to_text(file) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Document:
    """The values of a file, and where they stand."""

    file: Path
    values: Mapping[str, Any]
    lines: Mapping[Place, int] = field(repr=False)

    def line_of(self, path: Place) -> int:
        """Find the line of a value, or of what it would be in if it is missing."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)

    def problem(self, path: Place, sentence: str, *, fix: str) -> Problem:
        """Make a problem of the value at a path."""
        return Problem(self.line_of(path), dotted(path), sentence, fix, path)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a file is to hold, how such a file starts, how large it may be, and what to do about a larger one."""

    what: str
    starts_with: str
    bytes_max: int
    if_too_large: str


def dotted(path: Place) -> str:
    """Write a path as people do: `contracts.C-1.versions[0].from`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _not_read(sentence: str, event: yaml.Event) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=sentence, problem_mark=event.start_mark)  # type: ignore[arg-type]


class _Loader(yaml.SafeLoader):
    """YAML's syntax with the scalars of JSON."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 -- PyYAML's own way of keeping them
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _not_read("aliases (*name) are not read here", event)
        if event.tag is not None:
            raise _not_read("tags (!name) are not read here", event)
        self._depth += 1
        if self._depth > COMPOSED_DEPTH_MAX:
            raise _not_read(f"nests more than {COMPOSED_DEPTH_MAX} deep", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:  # noqa: ANN401 -- as it is called
        """Put the halves of a character together, which JSON writes one by one; one alone is kept by no database."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        node: yaml.ScalarNode = super().compose_scalar_node(anchor)
        try:
            node.value = node.value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise _not_read("a text holds half of a character", event) from None
        if "\0" in node.value:
            raise _not_read("a text holds the character NUL", event)
        return node


_NULL, _BOOL, _INT, _DECIMAL = (f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float"))
_DIGITS = list("-0123456789")
_Loader.add_implicit_resolver(_NULL, re.compile(r"^(?:null|~|)$"), ["n", "~", ""])
_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|false)$"), ["t", "f"])
_Loader.add_implicit_resolver(_INT, re.compile(r"^-?(?:0|[1-9][0-9]{0,30})$"), _DIGITS)
_Loader.add_implicit_resolver(_DECIMAL, re.compile(r"^-?(?:0|[1-9][0-9]{0,30})\.[0-9]{1,30}$"), _DIGITS)
_READ: Mapping[str, Callable[[str], object]] = {
    _NULL: lambda _: None,
    _BOOL: lambda text: text == "true",
    _INT: int,
    _DECIMAL: Decimal,
}


def content_of(file: Path) -> bytes:
    """The bytes of a file, one more than there may be at most. Raises `MasterInvalid` if it is not there."""
    try:
        with file.open("rb") as stream:
            return stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        fix = "name a file that can be read"
        raise MasterInvalid(file, [Problem(0, "", f"cannot be read: {error.strerror}", fix)]) from None


def read(file: Path, content: bytes) -> Document:
    """Read the content of a file. Raises `MasterInvalid` if it is too large, or no YAML or JSON object."""
    fix = "split it: a file may build on what was loaded before"
    document, problems = read_as_far(file, content, Bounds("master data", "accounts:", FILE_BYTES_MAX, fix))
    if problems:
        raise MasterInvalid(file, problems)
    return document


def read_as_far(file: Path, content: bytes, bounds: Bounds) -> tuple[Document, list[Problem]]:
    """Read as much as is unambiguous, and note what is not, so that the rest can be looked at too.

    Raises `MasterInvalid` if it is too large, or no YAML or JSON object.
    """
    if len(content) > bounds.bytes_max:
        sentence = f"has more than {bounds.bytes_max} bytes"
        raise MasterInvalid(file, [Problem(0, "", sentence, bounds.if_too_large)])
    try:
        node = yaml.compose(content.decode("utf-8"), _Loader)
    except UnicodeDecodeError as error:
        problem = Problem(content.count(b"\n", 0, error.start) + 1, "", "is not UTF-8", "save it as UTF-8")
        raise MasterInvalid(file, [problem]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = Problem(mark.line + 1 if mark else 0, "", f"is no YAML: {error.problem}", "correct the syntax here")
        raise MasterInvalid(file, [problem]) from None
    except yaml.YAMLError as error:
        raise MasterInvalid(file, [Problem(0, "", f"is no YAML: {error}", "correct the syntax")]) from None
    if not isinstance(node, yaml.MappingNode):
        fix = f"start with a heading such as `{bounds.starts_with}`"
        raise MasterInvalid(file, [Problem(1, "", f"holds no {bounds.what}", fix)])
    lines: dict[Place, int] = {}
    problems: list[Problem] = []
    return Document(file, _value(node, (), lines, problems), lines), problems


def _value(node: yaml.Node, path: Place, lines: dict[Place, int], problems: list[Problem]) -> Any:  # noqa: ANN401
    lines[path] = node.start_mark.line + 1
    if len(path) > DEPTH_MAX:
        problems.append(Problem(lines[path], dotted(path[:3]), f"nests more than {DEPTH_MAX} deep", "flatten it"))
        return None
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines, problems)
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, (*path, n), lines, problems) for n, each in enumerate(node.value)]
    return _READ.get(node.tag, str)(node.value)


def _mapping(
    node: yaml.MappingNode, path: Place, lines: dict[Place, int], problems: list[Problem]
) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            problems.append(Problem(line, dotted(path), "has a key that is no text", "give a name"))
        elif key.value in values:
            fix = "keep one of the two, or give the other another name"
            problems.append(Problem(line, dotted((*path, key.value)), "is there twice", fix))
        else:
            values[key.value] = _value(value, (*path, key.value), lines, problems)
            lines[*path, key.value] = line
    return values
