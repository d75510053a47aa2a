"""The rich console behind `forestay.console.Console`; a module of its own so that rich is imported when it is used."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from forestay.console import visible

NARROW = 72
"""Columns of a window in which a table may not fit."""
WHOLE = 20
"""Characters of a cell that a table keeps on one line; longer ones may be folded."""


class Screen(Console):
    """stdout or stderr, where text is only ever text.

    No markup, no `:emoji:` names, and characters that would control the terminal are shown escaped, whatever view
    they came in with: names from data reach every table.

    Parameters
    ----------
    stderr: write there; else to stdout.
    """

    def __init__(self, stderr: bool) -> None:
        stream = sys.stderr if stderr else sys.stdout
        super().__init__(
            stderr=stderr,
            markup=False,
            emoji=False,
            highlight=False,
            soft_wrap=not stream.isatty(),
        )

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            # A control segment is rich's own: it moves the cursor to redraw a table.
            if segment.control is None and (shown := visible(segment.text)) != segment.text:
                yield Segment(shown, segment.style)
            else:
                yield segment

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(visible(text), **how)  # here, since Text drops some of them unseen

    def on_broken_pipe(self) -> None:
        """A reader of stdout that went away ends the command; one of stderr must not end a training."""
        if not self.stderr:
            raise BrokenPipeError
        self.quiet = True


class Rows(Table):
    """A table that is a list of blocks where the window is too narrow for its columns side by side."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.max_width >= NARROW or self._fits(console, options):
            yield from super().__rich_console__(console, options)
            return
        if self.title:
            yield console.render_str(self.title) if isinstance(self.title, str) else self.title
        cells = [list(column.cells) for column in self.columns]
        for row in range(self.row_count):
            if row:
                yield Text()
            for column, there in zip(self.columns, cells, strict=True):
                # The first cell names the row; the others belong to it.
                indent = "  " if column is not self.columns[0] else ""
                yield Text.assemble(indent, _text(column.header), ": ", _text(there[row]), overflow="fold")

    def _fits(self, console: Console, options: ConsoleOptions) -> bool:
        wide = options.update(width=console.width * 100)
        widths = [
            max(Measurement.get(console, wide, cell).maximum for cell in (column.header, *column.cells))
            for column in self.columns
        ]
        return sum(min(width, WHOLE) + 2 for width in widths) <= options.max_width


def _text(cell: RenderableType) -> Text:
    return cell if isinstance(cell, Text) else Text(str(cell))
