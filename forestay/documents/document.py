"""A YAML file as plain values, with the line of every key.

The parser is PyYAML's safe one, YAML 1.1, as in azure-ai-ml (`load_yaml`), so that `off`, `yes` and `1_000` mean here
what they mean there. What it would take silently and a person would not want, a key given twice, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from forestay.documents.names import closest, shown
from forestay.errors import InputError, Problem

KeyPath = tuple[str | int, ...]

MAX_DEPTH = 60  # ten times what any of our files needs; the parser itself recurses
MAX_NODES = 50_000  # aliases can make a short file huge
MAX_BYTES = 4_000_000


@dataclass(frozen=True)
class Kind:
    """What a file should be, for messages.

    Attributes
    ----------
    name: "job file". start: what to begin such a file with. made_by: what writes one.
    """

    name: str
    start: str
    made_by: str


@dataclass
class Document:
    """The values of a file and where each came from.

    Attributes
    ----------
    data: the root mapping.
    where: key path -> "file:line", 1-based; later additions may have other places, such as "--set limits.max_trials".
    """

    data: dict[str, Any]
    where: dict[KeyPath, str] = field(default_factory=dict)

    def place(self, path: KeyPath) -> str:
        """Where a key is, or the nearest thing above it that is there."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.where:
                return self.where[path[:length]]
        return ""


def read_text(path: Path, kind: Kind) -> str:
    """The text of a UTF-8 file, a byte-order mark left out. Raises InputError for what is not there or not that."""
    if path.is_dir():
        found = sorted(entry.name for entry in path.glob("*.y*ml"))[:5]
        raise InputError(
            f"this is a folder, not a {kind.name}",
            where=str(path),
            fix=f"give a file in it: {', '.join(found)}" if found else "give the path of a YAML file",
        )
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(
                f"too large for a {kind.name}", where=str(path), fix=f"is this a data file? give the {kind.name}"
            )
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError("no such file", where=str(path), fix=_nearby(path)) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"cannot be read: {reason}", where=shown(str(path)), fix="check the path and its rights"
        ) from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"not UTF-8: byte 0x{raw[error.start]:02x} can't be read as text",
            where=f"{path}:{line}",
            fix="save the file with the encoding UTF-8",
        ) from error


def _nearby(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        return f"there is no folder {path.parent}"
    near = closest(path.name, names, cutoff=0.5) or sorted(n for n in names if n.endswith((".yml", ".yaml")))[:5]
    return f"did you mean {' or '.join(near)}?" if near else "check the path"


def parse(text: str, name: str, kind: Kind) -> Document:
    """The document in a file's text.

    Parameters
    ----------
    text: YAML whose root is a mapping.
    name: what stands before the line in messages: the file's path.
    kind: what it should be.

    Raises InputError with all problems, each with its line: not YAML, empty, not a mapping, a key twice, and so on.
    """
    node = _compose(text, name)
    if node is None:
        raise InputError("the file is empty", where=f"{name}:1", fix=f"{kind.made_by} writes one")
    if not isinstance(node, yaml.MappingNode):
        raise InputError(
            f"a {kind.name} is a mapping (`key: value` lines), not {_kind(node)}",
            where=f"{name}:{node.start_mark.line + 1}",
            fix=f"start with {kind.start}",
        )
    builder = _Builder(name)
    data = builder.value(node, ())
    if builder.problems:
        raise InputError.of(builder.problems)
    builder.where[()] = f"{name}:{node.start_mark.line + 1}"
    return Document(data, builder.where)


def parse_value(text: str, where: str) -> Any:
    """One value given as YAML, such as `2`, `off` or `[a, b]`. Raises InputError at `where`."""
    node = _compose(text, where, lines=False)
    if node is None:
        return None
    builder = _Builder(where, lines=False)
    value = builder.value(node, ())
    if builder.problems:
        raise InputError.of(builder.problems)
    return value


def _compose(text: str, name: str, *, lines: bool = True) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        raise InputError(
            "not YAML: a control character that text must not hold",
            where=f"{name}:{line}" if lines else name,
            fix="remove it, or save the file as plain UTF-8 text",
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = mark.line + 1 if mark else 1
        reason = getattr(error, "problem", None) or getattr(error, "context", None) or "cannot be parsed"
        raise InputError(
            f"not YAML: {shown(reason)}",
            where=f"{name}:{line}" if lines else name,
            fix="check the indentation, quotes and brackets there and in the line above",
        ) from error
    except RecursionError as error:
        raise InputError(
            "nested too deeply", where=f"{name}:1" if lines else name, fix="write it with fewer levels"
        ) from error
    return node


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return f"the text {shown(node.value)!r}"


class _Builder:
    """Turns nodes into values; gathers the line of each key and everything that is wrong."""

    def __init__(self, name: str, *, lines: bool = True) -> None:
        self.name = name
        self.lines = lines
        self.where: dict[KeyPath, str] = {}
        self.problems: list[Problem] = []
        self.open: set[int] = set()
        self.seen = 0

    def place(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}" if self.lines else self.name

    def problem(self, node: yaml.Node, message: str, fix: str) -> None:
        self.problems.append(Problem(self.place(node), message, fix))

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self.seen += 1
        if self.seen > MAX_NODES or len(path) > MAX_DEPTH:
            raise InputError(
                "far larger than such a file", where=self.place(node), fix="does an alias (*name) repeat itself?"
            )
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        if id(node) in self.open:
            self.problem(node, "an alias (*name) that contains itself", "write the value out")
            return None
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            return self.sequence(node, path)
        finally:
            self.open.discard(id(node))

    def scalar(self, node: yaml.ScalarNode) -> Any:
        try:
            # A constructor for each scalar: one that failed would remember the node as unfinished.
            return yaml.constructor.SafeConstructor().construct_object(node, deep=True)
        except yaml.YAMLError:
            self.problem(node, f"YAML can't read the tag {shown(node.tag)!r}", "put the value in quotes, without a tag")
            return None
        except (ValueError, OverflowError, AttributeError, KeyError, TypeError, IndexError):
            self.problem(node, f"YAML can't read the value {shown(node.value)!r}", "put the value in quotes")
            return None

    def sequence(self, node: yaml.Node, path: KeyPath) -> list[Any]:
        if node.tag != "tag:yaml.org,2002:seq":
            self.problem(node, f"the tag {shown(node.tag)!r} has no meaning here", "remove it")
        values = []
        for position, item in enumerate(node.value):
            self.where[(*path, position)] = self.place(item)
            values.append(self.value(item, (*path, position)))
        return values

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        if node.tag != "tag:yaml.org,2002:map":
            self.problem(node, f"the tag {shown(node.tag)!r} has no meaning here", "remove it")
        values: dict[str, Any] = {}
        first_line: dict[str, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.key(key_node)
            if key is None:
                continue
            if key in first_line:
                where = f" in line {first_line[key]}" if self.lines else ""
                self.problem(key_node, f"the key `{shown(key)}` is given twice, first{where}", "keep one of the two")
                continue
            first_line[key] = key_node.start_mark.line + 1
            self.where[(*path, key)] = self.place(key_node)
            values[key] = self.value(value_node, (*path, key))
        for merged in self.merged(node):
            inherited = self.value(merged, (*path, "<<"))
            inside = {
                place[len(path) + 1 :]: at
                for place, at in self.where.items()
                if place[: len(path) + 1] == (*path, "<<")
            }
            for key, value in (inherited or {}).items():
                if key in values:
                    continue
                values[key] = value
                self.where.update({(*path, *rest): at for rest, at in inside.items() if rest[:1] == (key,)})
            for rest in inside:
                del self.where[(*path, "<<", *rest)]
        return values

    def key(self, node: yaml.Node) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self.problem(node, f"a key must be a name, not {_kind(node)}", "write `name: value`")
            return None
        value = self.scalar(node)
        if isinstance(value, str):
            return value
        self.problem(
            node, f"YAML reads the key `{shown(node.value)}` as {shown(value)}, not as a name", "put it in quotes"
        )
        return None

    def merged(self, node: yaml.MappingNode) -> Iterator[yaml.MappingNode]:
        """The mappings that `<<: *name` brings in, first one first (it wins)."""
        for key_node, value_node in node.value:
            if key_node.tag != "tag:yaml.org,2002:merge":
                continue
            sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            for source in sources:
                if isinstance(source, yaml.MappingNode):
                    yield source
                else:
                    self.problem(key_node, "`<<` needs a mapping", "write `<<: *name` with the name of a mapping")
