"""What a command prints: a document on stdout, everything else on stderr.

`--output json` prints one JSON document on stdout and nothing else there. Names from data are never read as markup.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

    from forestay.errors import ForestayError
    from forestay.screen import Screen

# What a terminal obeys instead of showing: C0 and C1 controls but tab and newline, the marks that turn the writing
# direction or break lines (Trojan Source, CVE-2021-42574), and halves of surrogate pairs, which can't be written.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# The same for JSON, whose encoder has escaped C0 already.
_OBEYED_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """`text` with the characters that control a terminal shown escaped, `\\x1b`; tabs and newlines stay."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def plain() -> bool:
    """Whether output is to be lines of text alone: nothing redrawn, no frames, no lines drawn between cells.

    FORESTAY_PLAIN asks for it, as who reads by ear or by touch does, and so does a terminal that can't move its cursor.
    """
    return os.environ.get("FORESTAY_PLAIN", "0") not in ("", "0") or os.environ.get("TERM") in ("dumb", "unknown")


class Console:
    """The settings of one command's output, filled in by `--output`, `--quiet` and `--verbose`.

    Attributes
    ----------
    output: "table" or "json".
    quiet: no notes and no progress on stderr; warnings and errors stay.
    verbose: details, and a traceback for an internal error.
    """

    def __init__(self) -> None:
        self.output = "table"
        self.quiet = False
        self.verbose = False

    @property
    def json(self) -> bool:
        return self.output == "json"

    @functools.cached_property
    def out(self) -> Screen:
        from forestay.screen import Screen

        return Screen(stderr=False)

    @functools.cached_property
    def err(self) -> Screen:
        from forestay.screen import Screen

        return Screen(stderr=True)

    @property
    def live(self) -> bool:
        """Whether progress may be drawn: stderr is a terminal, and nobody asked for quiet or for plain lines."""
        return not self.quiet and sys.stderr.isatty() and not plain()

    def emit(self, document: Any, *views: RenderableType | Callable[[], Iterable[RenderableType]]) -> None:
        """Print the result of a command.

        Parameters
        ----------
        document: JSON-ready value, printed with `--output json`. NaN raises ValueError: callers send None.
        views: what a person sees instead; a callable is called only when it is needed.
        """
        if self.json:
            sys.stdout.write(_json(document))
            sys.stdout.flush()
            return
        for view in views:
            for part in view() if callable(view) else (view,):
                self.out.print(part)

    def note(self, text: str) -> None:
        """One line of progress or explanation, on stderr."""
        if not self.quiet:
            self.err.print(text)

    def warn(self, text: str) -> None:
        """One line that the user should not miss, on stderr, quiet or not."""
        self.err.print(f"warning: {text}", style="yellow")

    def detail(self, text: str) -> None:
        """One line that only `--verbose` shows, on stderr."""
        if self.verbose:
            self.err.print(text, style="dim")

    @property
    def asks(self) -> bool:
        """Whether somebody is there to answer: a terminal, and no JSON or quiet was asked for."""
        return not (self.json or self.quiet) and sys.stdin.isatty() and sys.stderr.isatty()

    def ask(self, question: str, default: str = "") -> str:
        """The answer to a question on the terminal; `default` for none. EOFError when it was closed (Ctrl-D)."""
        from rich.prompt import Prompt
        from rich.text import Text

        return Prompt.ask(
            Text(visible(question)), console=self.err, default=default, show_default=bool(default)
        ).strip()

    def confirm(self, question: str) -> bool:
        """Ask on the terminal; False where there is none."""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        from rich.prompt import Confirm
        from rich.text import Text

        try:
            return Confirm.ask(Text(question), console=self.err, default=False)
        except EOFError:  # Ctrl-D: no answer is no
            return False


def _json(document: Any) -> str:
    """A document as stdout can take it: what its encoding lacks, and what a terminal would obey, is escaped."""
    import json

    plain = (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"
    text = json.dumps(document, indent=2, ensure_ascii=plain, allow_nan=False) + "\n"
    return _OBEYED_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "", right: Sequence[str] = ()) -> Any:
    """A rich table; None is shown as a dash. `right` names the columns that are aligned to the right.

    In a narrow window a row that would be folded into slivers is a block of lines instead, one a cell.

    Titles and cells may come from data: they are neither markup nor do they control the terminal.
    """
    from rich import box
    from rich.text import Text

    from forestay.screen import Rows

    heading = Text(visible(title), style="table.title") if title else None
    view = Rows(title=heading, title_justify="left", box=None if plain() else box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        view.add_column(Text(visible(name)), justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        view.add_row(*(Text("-" if cell is None else visible(str(cell))) for cell in row))
    return view


def print_error(error: ForestayError) -> None:
    """An error as it is shown to a person, on stderr; plain text, so that no heavy import slows a usage error."""
    sys.stderr.write(visible("error: " + "\n".join(error.lines()) + "\n"))
