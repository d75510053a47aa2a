"""Where the process begins: Ctrl-C is told in one line from the first import on.

Before a command runs nothing is begun that would have to be kept, so there is nothing to say but that it ended.
"""

from __future__ import annotations

import sys


def main(module: bool = False) -> None:
    """Run the command line of this process and exit with its code (see forestay.errors).

    Parameters
    ----------
    module: it is started by `python -m`, which puts the current folder before everything on `sys.path`.
    """
    try:
        if module:
            from forestay.rooms import leave_current_folder

            leave_current_folder()
        from forestay.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
