"""A job as one page, as Markdown, as JSON, or printed; and two jobs side by side.

In order: `content.collect` reads the store; `curves` turns Azure's documents into the points of curves; `charts` makes
`plot.Plot`s of them, whose marks the templates draw as SVG; `views` has the tables; `page` and `pdf` write. `compare`
is what two jobs differ in.
The templates' parts (templates/report/parts.html.j2) take the same objects wherever they are shown.
"""

from __future__ import annotations
