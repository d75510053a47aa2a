"""The rich console behind `forestay.console.Console`; a module of its own so that rich is imported when it is used."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from forestay.console import visible


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
