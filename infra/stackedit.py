"""Edits of stack files and of Pulumi.yaml that touch nothing but the lines they are about.

A file is edited as text: where an entry stands comes from the parser that also reads the file, its lines are put in or
taken out, and every other line (comments, order, quotes, `secure:` values, `secretsprovider`, `encryptedkey`,
`encryptionsalt`) stays byte for byte as it was. A round trip through a YAML library would write all of them anew. After
an edit both texts are read again: nothing but the entry may differ.

An entry is named by its path, `("config", "forestay:services", "churn-api")`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from forestay import project
from forestay.documents.document import parse, read_text
from forestay.errors import InputError, OutsideError
from infra.stackfile import PULUMI_KEYS, SERVICES_KEY, STACK_FILE

EntryPath = tuple[str, ...]
STEP = 2  # columns of one level, as Pulumi writes
_NEW = "\n"
_ENDS = "\r\n\x85\u2028\u2029"  # what ends a line in YAML 1.1
_LINE = re.compile(f"[^{_ENDS}]*(?:\r\n|[{_ENDS}])|[^{_ENDS}]+")


def service_path(name: str) -> EntryPath:
    """Where a served model stands in the file of a services stack."""
    return ("config", SERVICES_KEY, name)


def get(text: str, path: EntryPath) -> Any:
    """The value of an entry; None where there is none. Raises InputError for a text that is not YAML."""
    found: Any = _data(text)
    for key in path:
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return found


def lines_of(text: str, path: EntryPath) -> str | None:
    """The lines of an entry as they stand, from its key on, for `put_lines` to put them back; None without it."""
    place = _find(text, path)
    if place is None:
        return None
    lines = _lines(text)[place.first : place.last + 1]
    return _indented("".join(lines), -place.column)


def put(text: str, path: EntryPath, value: Any) -> str:
    """The text with an entry set: replaced where it stands, else added as the last one of its section.

    Raises InputError when the file holds the section in a form that can't be edited by lines.
    """
    return put_lines(text, path, _dumped(path[-1], value))


def put_lines(text: str, path: EntryPath, lines: str) -> str:
    """As `put`, with the lines of the entry, its key at the left edge."""
    newline = "\r\n" if "\r\n" in text else _NEW
    lines = "".join(f"{line.rstrip(_ENDS)}{newline}" for line in _lines(lines))
    place = _find(text, path)
    if place is not None:
        return _checked(text, _spliced(text, place.first, place.last + 1, _indented(lines, place.column)), path)
    depth = _deepest(text, path)
    for key in reversed(path[depth:-1]):  # sections that are not there yet
        lines = f"{_key_text(key)}:{newline}{_indented(lines, STEP)}"
    node = _node(text, path[:depth])
    if depth == 0:
        if not _is_block(node):
            raise _unfit(path)
        where = _first_line(node) if path[0] in PULUMI_KEYS else len(_lines(text))
        return _checked(text, _spliced(text, where, where, lines), path)
    section = _find(text, path[:depth])
    if section is None:
        raise _unfit(path)
    if node is None or not _is_block(node):
        return _begun(text, path, depth, section, lines, newline)
    where, column = section.last + 1, node.value[0][0].start_mark.column
    return _checked(text, _spliced(text, where, where, _indented(lines, column)), path)


def _begun(text: str, path: EntryPath, depth: int, section: _Place, lines: str, newline: str) -> str:
    """An entry in a section without lines of its own: `forestay:services: {}`, or nothing after the colon."""
    held = get(text, path[:depth])
    if isinstance(held, Mapping) and held:  # `{a: 1}`: its entries get lines of their own first
        opened = put(text, path[:depth], held)
        return put_lines(opened, path[: depth + 1], lines)
    if held is not None and not isinstance(held, Mapping):
        raise _unfit(path)
    head = f"{' ' * section.column}{_key_text(path[depth - 1])}:{newline}"
    begun = head + _indented(lines, section.column + STEP)
    return _checked(text, _spliced(text, section.first, section.last + 1, begun), path)


def remove(text: str, path: EntryPath) -> str:
    """The text without an entry; a section that held nothing else goes with it. The text itself where there is none."""
    place = _find(text, path)
    if place is None:
        return text
    section = _find(text, path[:-1]) if len(path) > 1 and path[:-1] != ("config",) else None
    if section is not None and section.last - section.first == place.last - place.first + 1:
        return remove(text, path[:-1])  # nothing else is in it, no comment either
    return _checked(text, _spliced(text, place.first, place.last + 1, ""), path)


def read(path: Path) -> str:
    """The text of a file with its line ends as they are. Raises InputError."""
    read_text(path, STACK_FILE)  # for its refusals
    with path.open(encoding="utf-8", newline="") as stream:
        return stream.read()


def write(path: Path, before: str, after: str) -> None:
    """Write an edited file as a whole. Raises OutsideError when somebody else changed it since it was read."""
    if read(path) != before:
        raise OutsideError("the file was changed by somebody else meanwhile", where=str(path), fix="run this again")
    if after != before:
        project.write_atomic(path, after)


class _Place:
    """The lines of an entry: first and last, from 0, and the column of its key."""

    def __init__(self, key: yaml.Node, value: yaml.Node, lines: Sequence[str]) -> None:
        self.first, self.column = key.start_mark.line, key.start_mark.column
        self.last = max(min(_last_line(value), len(lines) - 1), key.end_mark.line)
        while self.last > key.end_mark.line and not lines[self.last].strip():
            self.last -= 1  # blank lines below a block of text
        # Comments below that are indented more are about what is in the entry.
        for number in range(self.last + 1, len(lines)):
            bare = lines[number].lstrip(" ")
            if not bare.startswith("#") or len(lines[number]) - len(bare) <= self.column:
                break
            self.last = number


def _find(text: str, path: EntryPath) -> _Place | None:
    """Where an entry with a line of its own stands."""
    node = _node(text, path[:-1])
    if not _is_block(node):
        return None
    assert node is not None
    lines = _lines(text)
    for key, value in node.value:
        if key.value == path[-1]:
            # The value of an alias stands where its anchor is.
            own = value if value.start_mark.line >= key.start_mark.line else key
            return _Place(key, own, lines)
    return None


def _node(text: str, path: EntryPath) -> yaml.MappingNode | None:
    """The mapping under a path; None where there is none, or something else."""
    found = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in path:
        if not isinstance(found, yaml.MappingNode):
            return None
        found = next((value for one, value in found.value if one.value == key), None)
    return found if isinstance(found, yaml.MappingNode) else None


def _is_block(node: yaml.MappingNode | None) -> bool:
    return node is not None and not node.flow_style and bool(node.value)


def _deepest(text: str, path: EntryPath) -> int:
    """How many of the sections of a path are there."""
    found, depth = _data(text), 0
    for key in path[:-1]:
        if not isinstance(found, Mapping) or key not in found:
            break
        found, depth = found[key], depth + 1
    return depth


def _last_line(node: yaml.Node) -> int:
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return max(_last_line(one) for one in (last if isinstance(last, tuple) else (last,)))
    end = node.end_mark
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">") and end.column == 0:
        return end.line - 1  # it ends where the next line begins
    return end.line


def _first_line(node: yaml.MappingNode | None) -> int:
    return node.value[0][0].start_mark.line if node is not None and node.value else 0


def _spliced(text: str, first: int, end: int, put_in: str) -> str:
    lines = _lines(text)
    if put_in and first >= len(lines) and lines and not lines[-1].endswith("\n"):
        lines[-1] += "\r\n" if put_in.endswith("\r\n") else _NEW
    return "".join([*lines[:first], put_in, *lines[end:]])


def _indented(lines: str, columns: int) -> str:
    """Lines moved to the right, or for a negative number to the left."""
    if columns >= 0:
        return "".join(f"{' ' * columns}{line}" if line.strip() else line for line in _lines(lines))
    return "".join(line[min(-columns, len(line) - len(line.lstrip(" "))) :] for line in _lines(lines))


def _lines(text: str) -> list[str]:
    """The lines with their ends, counted as YAML counts them."""
    return _LINE.findall(text)


class _Dumper(yaml.SafeDumper):
    """Quotes every text that some reader of YAML, 1.1 or 1.2, might take for a number, a date or a truth value."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    plain = value[:1].isalpha() and value.isascii() and value.isprintable() and value.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null", "inf", "nan")
_Dumper.add_representer(str, _text)


def _dumped(key: str, value: Any) -> str:
    return yaml.dump(
        {key: value},
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=False,
        allow_unicode=True,
        width=2**31,
        indent=STEP,
    )


def _key_text(key: str) -> str:
    return _dumped(key, None).rpartition(": null")[0]


def _data(text: str) -> dict[str, Any]:
    return parse(text, STACK_FILE.name, STACK_FILE).data


def _without(data: Any, path: EntryPath) -> Any:
    """The data without an entry, and without sections that held nothing else."""
    if not path or not isinstance(data, Mapping):
        return data
    kept = {key: one for key, one in data.items() if key != path[0]}
    if path[0] in data and path[1:]:
        below = _without(data[path[0]] or {}, path[1:])
        if below:
            kept[path[0]] = below
    return kept


def _checked(before: str, after: str, path: EntryPath) -> str:
    """`after`, when nothing but the entry differs. Raises InputError."""
    try:
        same = _without(_data(before), path) == _without(_data(after), path)
    except InputError:
        same = False
    if not same:
        raise _unfit(path)
    return after


def _unfit(path: EntryPath) -> InputError:
    above = " > ".join(path[:-1]) or "the file"
    return InputError(
        f"{path[-1]} can't be edited without touching other lines",
        where=above,
        fix="write that section with one key a line, without anchors",
    )
