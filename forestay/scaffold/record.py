"""`.forestay-project.yml`: what a project was made from, and each of its files as it was made.

A later version can't render an earlier one's templates again, as copier does from the templates' git history: so the
texts themselves are kept, which a three-way merge needs. Of large files of data only the hash is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forestay import __version__, project
from forestay.documents.document import Document, Kind, parse, read_text
from forestay.documents.names import shown
from forestay.errors import InputError, OutsideError
from forestay.scaffold.answers import Answers

FILE = ".forestay-project.yml"
KIND = Kind("project's record", "`version:`", "`forestay init`")
HEAD = """\
# Written by `forestay init`: what this project was made from, and its files as they were made. `forestay init --update`
# tells your own changes by it from those of a newer version. Keep it in git, and leave it as it is.
"""
LARGE = 50_000  # characters


@dataclass(frozen=True)
class Record:
    """What a project was made from.

    Attributes
    ----------
    version: of Forestay. answers: the user's.
    files: path -> text as it was made; `large`: path -> SHA-256 of those whose text is not kept.
    under_way: of an update that was killed: path -> SHA-256 of what it writes.
    """

    version: str
    answers: Answers
    files: Mapping[str, str]
    large: Mapping[str, str]
    under_way: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, answers: Answers, files: Mapping[str, str], under_way: Mapping[str, str] | None = None) -> Record:
        """The record of files as this version makes them."""
        small = {path: text for path, text in files.items() if len(text) <= LARGE}
        large = {path: digest(text) for path, text in files.items() if path not in small}
        return cls(__version__, answers, small, large, under_way or {})

    def text(self) -> str:
        document: dict[str, Any] = {
            "version": self.version,
            "answers": self.answers.model_dump(),
            "under_way": dict(self.under_way),
            "large": dict(self.large),
            "files": dict(self.files),
        }
        kept = {key: value for key, value in document.items() if value}
        return HEAD + yaml.dump(kept, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)


class _Dumper(yaml.SafeDumper):
    """Texts of several lines stand as they are, so that a change of them is read in a review line by line."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


class _Written(BaseModel):
    """The record as it stands in the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    answers: Answers
    files: dict[str, str] = Field(default_factory=dict)
    large: dict[str, str] = Field(default_factory=dict)
    under_way: dict[str, str] = Field(default_factory=dict)


def digest(text: str) -> str:
    """The SHA-256 of a text in UTF-8; what a file held that is no UTF-8 counts as it was."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def load(folder: Path) -> Record:
    """The record of the project in a folder.

    Raises InputError where there is none or it is broken, OutsideError for one of a newer version than this.
    """
    path = folder / FILE
    if not path.is_file():
        raise InputError(
            f"there is no {FILE}: this project was not made by `forestay init`",
            where=str(folder),
            fix="go to the project's folder, or make one with `forestay init DIR`",
        )
    document = parse(read_text(path, KIND), str(path), KIND)
    _refuse_newer(document)
    try:
        found = _Written.model_validate(document.data)
    except ValidationError as error:
        first = error.errors()[0]
        raise _broken(document, first["loc"], str(first["msg"])) from None
    for key in ("files", "large", "under_way"):
        for name in getattr(found, key):
            if not _inside(name):
                raise _broken(document, (key, name), f"{shown(name)} is no path in the project")
    return Record(found.version, found.answers, found.files, found.large, found.under_way)


def save(folder: Path, record: Record) -> None:
    project.write_atomic(folder / FILE, record.text())


def _refuse_newer(document: Document) -> None:
    try:
        made_by = Version(str(document.data.get("version")))
    except InvalidVersion:
        raise _broken(document, ("version",), "`version` is none of Forestay's") from None
    if made_by > Version(__version__):
        raise OutsideError(
            f"this project was made by Forestay {made_by}, and this is {__version__}",
            where=document.place(("version",)),
            fix="install that version or a newer one",
        )


def _inside(name: str) -> bool:
    """Whether a path of the record stays in the project: it came with the repository, from whoever can commit."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _broken(document: Document, path: tuple[str | int, ...], message: str) -> InputError:
    return InputError(message, where=document.place(path), fix=f"put {FILE} back as git has it: git restore {FILE}")
