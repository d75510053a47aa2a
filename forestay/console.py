"""What a command prints: a document on stdout, everything else on stderr.

`--output json` prints one JSON document on stdout and nothing else there. Names from data are never read as markup.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import RenderableType

    from forestay.errors import ForestayError


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
    def out(self) -> RichConsole:
        from rich.console import Console as RichConsole

        return RichConsole(markup=False, highlight=False, soft_wrap=not sys.stdout.isatty())

    @functools.cached_property
    def err(self) -> RichConsole:
        from rich.console import Console as RichConsole

        return RichConsole(stderr=True, markup=False, highlight=False, soft_wrap=not sys.stderr.isatty())

    @property
    def live(self) -> bool:
        """Whether progress may be drawn: stderr is a terminal and nobody asked for quiet."""
        return not self.quiet and sys.stderr.isatty()

    def emit(self, document: Any, *views: RenderableType | Callable[[], Iterable[RenderableType]]) -> None:
        """Print the result of a command.

        Parameters
        ----------
        document: JSON-ready value, printed with `--output json`. NaN raises ValueError: callers send None.
        views: what a person sees instead; a callable is called only when it is needed.
        """
        if self.json:
            sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
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

    def confirm(self, question: str) -> bool:
        """Ask on the terminal; False where there is none."""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        from rich.prompt import Confirm

        return Confirm.ask(question, console=self.err, default=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "", right: Sequence[str] = ()) -> Any:
    """A rich table; None is shown as a dash. `right` names the columns that are aligned to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    view = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        view.add_column(Text(name), justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        view.add_row(*(Text("-" if cell is None else str(cell)) for cell in row))
    return view


def print_error(error: ForestayError) -> None:
    """An error as it is shown to a person, on stderr; plain text, so that no heavy import slows a usage error."""
    first, *rest = error.lines()
    sys.stderr.write(f"error: {first}\n")
    for line in rest:
        sys.stderr.write(line + "\n")
