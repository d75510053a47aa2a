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

from forestay.console import plain, visible

NARROW = 72
"""Columns of a window in which a table may not fit."""
WHOLE, SLIVER = 20, 4
"""Characters of a cell on one line: what is good to read, and what can be read at all; longer cells are folded."""
UNBOUND = 10_000


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
            color_system=None if plain() else "auto",
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
    """A table that is a list of blocks, a line a cell, where a window is too narrow for its columns side by side.

    Off a terminal it is as wide as it must be, so that no cell is cut there either.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width
        least, good = self._width(console, options, SLIVER), self._width(console, options, WHOLE)
        if least <= room and (good <= room or room >= NARROW):
            yield from super().__rich_console__(console, options)
        elif room >= NARROW and not console.is_terminal:
            yield from super().__rich_console__(console, options.update(width=good))
        else:
            yield from self._blocks(console, room)

    def _width(self, console: Console, options: ConsoleOptions, folded: int) -> int:
        """How wide it is when cells that may be folded have no more than so many characters a line."""
        free = options.update(width=UNBOUND)
        widths = [
            (column, max(Measurement.get(console, free, cell).maximum for cell in (column.header, *column.cells)))
            for column in self.columns
        ]
        return sum((width if column.no_wrap else min(width, folded)) + 3 for column, width in widths)

    def _blocks(self, console: Console, room: int) -> RenderResult:
        if self.title:
            yield _text(self.title)
        cells = [list(column.cells) for column in self.columns]
        for row in range(self.row_count):
            if row:
                yield Text()
            for column, there in zip(self.columns, cells, strict=True):
                # The first cell names the row; the others belong to it.
                indent = "  " if column is not self.columns[0] else ""
                whole = Text.assemble(_text(column.header), ": ", _text(there[row]), overflow="fold")
                for place, line in enumerate(whole.wrap(console, max(room - 4, 1))):
                    yield Text.assemble(indent, "  " * (place > 0), line)


def _text(cell: RenderableType) -> Text:
    return cell if isinstance(cell, Text) else Text(str(cell))
