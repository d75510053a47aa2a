"""An MLTable file: its paths, its reader and its steps, each with the line that it stands on.

The keys are those of Azure's page "CLI (v2) MLtable YAML schema" (reference-yaml-mltable). What cannot be done here
(filter, Delta Lake, partition columns) is refused with its line, never skipped.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from automl_jobs.data.dialect import usable
from automl_jobs.data.encoding import CODECS, known
from forestay.errors import InputError

HEADERS = ("all_files_same_headers", "no_header", "from_first_file", "all_files_different_headers")
_TOP = ("$schema", "type", "paths", "transformations", "traits", "metadata", "name", "description")
_READERS = ("read_delimited", "read_parquet", "read_json_lines")
_STEPS = ("keep_columns", "drop_columns", "convert_column_types", "take", "skip", "take_random_sample")
_ELSEWHERE = ("filter", "read_delta_lake", "extract_columns_from_partition_format", "convert_tensor_columns")
_TYPES = ("int", "float", "string", "boolean", "datetime")
_PATH_KINDS = ("file", "folder", "pattern")
_PATH_COLUMN = "Path"
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class PathEntry:
    """One entry of `paths`; `kind` is file, folder or pattern."""

    kind: str
    value: str
    line: int


@dataclass(frozen=True)
class Reader:
    """The read transformation with its options; defaults as Azure's. `path_column` names that column, if wanted."""

    kind: str
    line: int
    delimiter: str = ","
    encoding: str = "utf8"
    header: str = "all_files_same_headers"
    multi_line: bool = False
    empty_as_string: bool = False
    infer: bool = True
    path_column: str | None = None
    drop_invalid: bool = False


@dataclass(frozen=True)
class Conversion:
    """One entry of convert_column_types."""

    columns: tuple[str, ...]
    type: str
    line: int
    formats: tuple[str, ...] = ()
    true_values: tuple[str, ...] = ()
    false_values: tuple[str, ...] = ()
    mismatch_as: str = "error"


@dataclass(frozen=True)
class Step:
    """One transformation after reading: `columns` of keep and drop, `count` of take and skip, ..."""

    kind: str
    line: int
    columns: tuple[str, ...] = ()
    conversions: tuple[Conversion, ...] = ()
    count: int = 0
    probability: float = 1.0
    seed: int | None = None


@dataclass(frozen=True)
class MLTable:
    """A parsed MLTable; `where` names the file in messages."""

    where: str
    folder: Path
    paths: tuple[PathEntry, ...]
    reader: Reader
    steps: tuple[Step, ...]


def parse(path: Path, where: str) -> MLTable:
    """Read the MLTable file at `path`. Raises InputError naming the line of what is wrong."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", where=where) from error
    if len(raw) > _MAX_BYTES:
        raise InputError("is too large to be an MLTable", where=where, fix="give the data file itself")
    try:
        root = yaml.compose(raw, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(
            f"is not valid YAML: {error.problem or error.context}",
            where=f"{where}:{line}",
            fix="check the indentation and quotes",
        ) from error
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError) as error:
        raise InputError(
            f"is not valid YAML: {str(error).splitlines()[0]}", where=where, fix="an MLTable is a YAML file"
        ) from error
    if root is None:
        raise InputError("is empty", where=where, fix="it needs `paths` and `transformations`")
    return _Parser(where).whole(root, path.parent)


class _Parser:
    def __init__(self, where: str) -> None:
        self.where = where

    def error(self, node: yaml.Node, message: str, fix: str = "") -> InputError:
        return InputError(message, where=f"{self.where}:{line(node)}", fix=fix)

    def whole(self, root: yaml.Node, folder: Path) -> MLTable:
        keys = dict(self.mapping(root, "an MLTable"))
        for name, (key, _) in keys.items():
            if name not in _TOP:
                raise self.error(key, f"unknown key {name!r}", near(name, _TOP))
        kind = keys.get("type")
        if kind and self.text(kind[1]) != "mltable":
            raise self.error(kind[1], f"type is {self.text(kind[1])!r}", "an MLTable has `type: mltable`")
        if "paths" not in keys:
            raise self.error(root, "has no `paths`", "add `paths:` with a list of `- file: ./data.csv`")
        paths = tuple(self.path(node) for node in self.sequence(keys["paths"][1], "paths"))
        if not paths:
            raise self.error(keys["paths"][1], "`paths` is empty", "add `- file: ./data.csv`")
        steps: list[Step] = []
        reader: Reader | None = None
        nodes = self.sequence(keys["transformations"][1], "transformations") if "transformations" in keys else []
        for node in nodes:
            name, value = self.single(node)
            if name in _READERS:
                if reader is not None or steps:
                    raise self.error(node, f"{name} must be the first transformation, and the only one that reads")
                reader = self.reader(name, node, value)
            elif name in _STEPS:
                steps.append(self.step(name, node, value))
            elif name in _ELSEWHERE:
                raise self.error(
                    node,
                    f"{name} works in Azure only, not here",
                    f"prepare the data beforehand; here work {', '.join((*_READERS, *_STEPS))}",
                )
            else:
                raise self.error(node, f"unknown transformation {name!r}", near(name, (*_READERS, *_STEPS)))
        if reader is None:
            raise self.error(
                root,
                "has no transformation that reads",
                "add `transformations:` with `- read_delimited:`, `- read_parquet` or `- read_json_lines`",
            )
        return MLTable(self.where, folder, paths, reader, tuple(steps))

    def path(self, node: yaml.Node) -> PathEntry:
        entries = list(self.mapping(node, "an entry of `paths`"))
        if len(entries) != 1 or entries[0][0] not in _PATH_KINDS:
            name = entries[0][0] if entries else ""
            raise self.error(node, f"{name!r} is no kind of path", "one of `file:`, `folder:`, `pattern:` an entry")
        name, (_, value) = entries[0]
        return PathEntry(name, self.text(value), line(node))

    def reader(self, name: str, node: yaml.Node, value: yaml.Node | None) -> Reader:
        allowed = {
            "read_delimited": (
                *("delimiter", "encoding", "header", "support_multi_line", "empty_as_string"),
                *("infer_column_types", "include_path_column", "path_column"),
            ),
            "read_parquet": ("include_path_column", "path_column"),
            "read_json_lines": ("encoding", "invalid_lines", "include_path_column", "path_column"),
        }[name]
        options: dict[str, Any] = {}
        for key, (key_node, item) in self.mapping(value, name) if value is not None else ():
            if key not in allowed:
                raise self.error(key_node, f"unknown option {key!r} of {name}", near(key, allowed))
            if key == "delimiter":
                options["delimiter"] = self.delimiter(item)
            elif key == "encoding":
                options["encoding"] = self.encoding(item)
            elif key == "header":
                options["header"] = self.choice(item, key, HEADERS)
            elif key == "invalid_lines":
                options["drop_invalid"] = self.choice(item, key, ("error", "drop")) == "drop"
            elif key == "include_path_column":
                if self.boolean(item, key):
                    options.setdefault("path_column", _PATH_COLUMN)
            elif key == "path_column":
                options["path_column"] = self.text(item)
            else:
                field = {"support_multi_line": "multi_line", "infer_column_types": "infer"}.get(key, key)
                options[field] = self.boolean(item, key)
        return Reader(name, line(node), **options)

    def step(self, name: str, node: yaml.Node, value: yaml.Node | None) -> Step:
        if value is None:
            raise self.error(node, f"{name} needs a value")
        if name in ("keep_columns", "drop_columns"):
            return Step(name, line(node), columns=self.texts(value, name))
        if name in ("take", "skip"):
            return Step(name, line(node), count=self.whole_number(value, name))
        if name == "take_random_sample":
            return self.sample(node, value)
        conversions = tuple(self.conversion(item) for item in self.sequence(value, name))
        return Step(name, line(node), conversions=conversions)

    def sample(self, node: yaml.Node, value: yaml.Node) -> Step:
        keys = dict(self.mapping(value, "take_random_sample"))
        for key, (key_node, _) in keys.items():
            if key not in ("probability", "seed"):
                raise self.error(key_node, f"unknown option {key!r}", near(key, ("probability", "seed")))
        if "probability" not in keys:
            raise self.error(node, "take_random_sample needs a probability", "a number from 0 to 1")
        item = keys["probability"][1]
        try:
            probability = float(self.text(item))
        except ValueError:
            probability = -1.0
        if not 0 <= probability <= 1:
            raise self.error(item, f"probability is {self.text(item)}", "a number from 0 to 1")
        seed = self.whole_number(keys["seed"][1], "seed") if "seed" in keys else None
        return Step("take_random_sample", line(node), probability=probability, seed=seed)

    def conversion(self, node: yaml.Node) -> Conversion:
        keys = dict(self.mapping(node, "an entry of convert_column_types"))
        for key, (key_node, _) in keys.items():
            if key not in ("columns", "column_type"):
                raise self.error(key_node, f"unknown key {key!r}", near(key, ("columns", "column_type")))
        for key in ("columns", "column_type"):
            if key not in keys:
                raise self.error(node, f"convert_column_types needs `{key}`")
        columns = self.texts(keys["columns"][1], "columns")
        kind = keys["column_type"][1]
        if isinstance(kind, yaml.ScalarNode):
            return Conversion(columns, self.choice(kind, "column_type", _TYPES), line(node))
        name, value = self.single(kind)
        if name not in _TYPES:
            raise self.error(kind, f"unknown column type {name!r}", near(name, _TYPES))
        options = dict(self.mapping(value, name)) if value is not None else {}
        allowed = {"datetime": ("formats",), "boolean": ("true_values", "false_values", "mismatch_as")}.get(name, ())
        for key, (key_node, _) in options.items():
            if key not in allowed:
                raise self.error(key_node, f"unknown option {key!r} of {name}", near(key, allowed) if allowed else "")
        lists = {key: self.texts(options[key][1], key) for key in options if key != "mismatch_as"}
        if ("true_values" in lists) != ("false_values" in lists):
            raise self.error(kind, "true_values and false_values go together", "give both, or neither")
        if set(lists.get("true_values", ())) & set(lists.get("false_values", ())):
            raise self.error(kind, "true_values and false_values share a value")
        mismatch = "error"
        if "mismatch_as" in options:
            mismatch = self.choice(options["mismatch_as"][1], "mismatch_as", ("error", "true", "false"))
        return Conversion(columns, name, line(node), mismatch_as=mismatch, **lists)

    def delimiter(self, node: yaml.Node) -> str:
        text = self.text(node)
        text = {"\\t": "\t", "tab": "\t"}.get(text, text)
        if not usable(text):
            raise self.error(node, f"{text!r} cannot be a delimiter", 'one character, such as , ; | or "\\t"')
        return text

    def encoding(self, node: yaml.Node) -> str:
        name = known(self.text(node))
        if name is None:
            raise self.error(node, f"unknown encoding {self.text(node)!r}", near(self.text(node), tuple(CODECS)))
        return "ascii" if self.text(node) == "ascii" else name

    def choice(self, node: yaml.Node, key: str, allowed: tuple[str, ...]) -> str:
        text = self.text(node)
        if text.lower() not in allowed:
            raise self.error(node, f"{key} is {text!r}", near(text, allowed))
        return text.lower()

    def boolean(self, node: yaml.Node, key: str) -> bool:
        text = self.text(node).lower()
        if text not in ("true", "false", "yes", "no", "on", "off"):
            raise self.error(node, f"{key} is {self.text(node)!r}", "true or false")
        return text in ("true", "yes", "on")

    def whole_number(self, node: yaml.Node, key: str) -> int:
        text = self.text(node)
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise self.error(node, f"{key} is {text!r}", "a whole number, 0 or more")
        return int(text)

    def texts(self, node: yaml.Node, key: str) -> tuple[str, ...]:
        """A string, or a list of them; scalars are taken as written, so that `no` stays no."""
        if isinstance(node, yaml.ScalarNode):
            return (self.text(node),)
        found = tuple(self.text(item) for item in self.sequence(node, key))
        if not found:
            raise self.error(node, f"{key} is empty", "name at least one")
        return found

    def text(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self.error(node, "a single value is wanted here, found a list or a mapping")
        return str(node.value)

    def single(self, node: yaml.Node) -> tuple[str, yaml.Node | None]:
        """A name alone (`- read_parquet`) or a mapping of one key."""
        if isinstance(node, yaml.ScalarNode):
            return self.text(node), None
        entries = list(self.mapping(node, "a transformation"))
        if len(entries) != 1:
            raise self.error(node, "one key is wanted here", "start each transformation with its own `- `")
        name, (_, value) = entries[0]
        bare = isinstance(value, yaml.ScalarNode) and value.tag == "tag:yaml.org,2002:null"
        return name, None if bare else value

    def mapping(self, node: yaml.Node, what: str) -> Iterator[tuple[str, tuple[yaml.Node, yaml.Node]]]:
        if not isinstance(node, yaml.MappingNode):
            raise self.error(node, f"{what} is a mapping of keys to values", "write `key: value`")
        seen: set[str] = set()
        for key, value in node.value:
            name = self.text(key)
            if name in seen:
                raise self.error(key, f"{name!r} is given twice", "leave one of them out")
            seen.add(name)
            yield name, (key, value)

    def sequence(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(node, f"`{what}` is a list", "start each entry with `- `")
        return list(node.value)


def line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def near(name: str, names: Iterable[str]) -> str:
    """What to do about a name that is not among `names`."""
    names = tuple(names)
    found = difflib.get_close_matches(name, names, n=2, cutoff=0.6)
    return f"nearest: {', '.join(found)}" if found else f"known: {', '.join(names)}"
