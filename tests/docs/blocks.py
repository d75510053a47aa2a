"""The fenced blocks of a page, and what is to become of each: its title says how its commands were tried."""

from __future__ import annotations

import re
import shlex
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from forestay import cli
from tests.conftest import ROOT

HERE = "tried here"
UNTIL_STOPPED = "tried here, until Ctrl-C"
AZURE_ML = "tried against a stand-in for Azure ML"
SERVICES = "tried against a stand-in for ACI and AKS"
ESTATE = "tried with Pulumi's engine and a stand-in for Azure"
IMAGES = "tried here, with buildah"
CHECKED = "arguments checked"
TITLES = (HERE, UNTIL_STOPPED, AZURE_ML, SERVICES, ESTATE, IMAGES, CHECKED)

TUTORIAL, README = ROOT / "docs" / "tutorial.md", ROOT / "README.md"
WALKED = (TUTORIAL, README)

# Shells' languages hold commands; the others hold files and what is printed.
SHELL = ("bash", "sh", "shell", "console")
OTHERS = ("text", "yaml", "json", "python", "csv")
# Programs that a block may call beside forestay.
KNOWN = ("az", "curl", "docker", "export", "git", "ls", "python", "pip", "pytest", "uv", "exit", "cd")
OPERATORS = "|&;<>()"
SEPARATORS = re.compile(r"[|&;()]+")

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)(?: +title=\"(?P<title>[^\"]*)\")? *$")
_LEAVES = dict(cli.leaves())
_SUBSTITUTION = re.compile(r"\"\$\((.*?)\)\"")
_ASIDE = {ord(operator): 0xE000 + place for place, operator in enumerate(OPERATORS)}


@dataclass(frozen=True)
class Block:
    """One block. `line` is that of its fence; `title` is "" where it has none."""

    page: Path
    line: int
    language: str
    title: str
    text: str

    @property
    def commands(self) -> list[str]:
        """One command line each: without comments, continued lines joined."""
        joined = self.text.replace("\\\n", " ")
        return [line for line in map(_without_comment, joined.splitlines()) if line]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def _without_comment(line: str) -> str:
    """Without what a shell takes as a comment."""
    return "" if line.lstrip().startswith("#") else re.sub(r"\s{2,}#.*$", "", line).strip()


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in order. A fence that is not understood, or not closed, raises ValueError."""
    opened: re.Match[str] | None = None
    start, lines = 0, list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if opened is None and line.lstrip().startswith("```"):
            opened, start, lines = _FENCE.match(line), number, []
            if opened is None:
                raise ValueError(f"{page}:{number}: a fence of another form: {line}")
        elif opened is not None and line.strip() == "```":
            yield Block(page, start, opened["language"], opened["title"] or "", textwrap.dedent("\n".join(lines)))
            opened = None
        elif opened is not None:
            lines.append(line)
    if opened is not None:
        raise ValueError(f"{page}:{start}: a fence that is not closed")


def shell_blocks(page: Path, *titles: str) -> list[Block]:
    """The blocks with commands, of these titles if some are given."""
    return [one for one in blocks(page) if one.language in SHELL and (not titles or one.title in titles)]


def pages() -> list[Path]:
    """Every page that is written by hand, README and CONTRIBUTING among them."""
    found = [path for path in (ROOT / "docs").rglob("*.md") if not path.is_symlink()]
    return sorted([*found, README, ROOT / "CONTRIBUTING.md"])


def is_plain(command: str) -> bool:
    """Whether it is one call of forestay and nothing that a shell must do."""
    return command.startswith("forestay ") and not re.search(r"[|&;<>$`]", _unquoted(command))


def _unquoted(command: str) -> str:
    return re.sub(r"'[^']*'", "''", command)


def check(command: str) -> None:
    """Check each program of a command line: forestay's words and options by its tree, make's targets, others by name.

    Raises AssertionError.
    """
    for words in _programs(command):
        program = Path(words[0]).name
        if program == "forestay":
            _check_forestay(words[1:])
        elif program == "make":
            done = subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        else:
            assert program in KNOWN, f"{program} in {command!r}"


def _programs(command: str) -> Iterator[list[str]]:
    """The calls in a command line, what stands in $(...) among them; redirections and variables are left out."""
    for inner in _SUBSTITUTION.findall(command):
        yield from _programs(inner)
    # A quoted semicolon separates nothing: what is quoted is put aside until the line is cut.
    plain = re.sub(r"'[^']*'", lambda quoted: quoted[0].translate(_ASIDE), _SUBSTITUTION.sub("VALUE", command))
    lexer = shlex.shlex(plain, posix=True, punctuation_chars=OPERATORS)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    skip = False
    for token in [*lexer, ";"]:
        if SEPARATORS.fullmatch(token):
            if words:
                yield words
            words, skip = [], False
        elif set(token) <= set("<>"):
            skip = True  # the file that follows is no word of the call
        elif skip:
            skip = False
        elif words or not re.match(r"\w+=", token):
            words.append(token.translate({aside: operator for operator, aside in _ASIDE.items()}))


def _check_forestay(words: list[str]) -> None:
    path = next((" ".join(words[:count]) for count in (3, 2, 1) if " ".join(words[:count]) in _LEAVES), None)
    if path is None:
        assert words == ["--version"], f"no command: forestay {' '.join(words)}"
        return
    try:
        cli.load(_LEAVES[path]).make_context(f"forestay {path}", words[len(path.split()) :])
    except click.ClickException as error:
        raise AssertionError(f"forestay {' '.join(words)}: {error.format_message()}") from error
