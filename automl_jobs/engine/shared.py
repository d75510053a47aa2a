"""An object in one file whose arrays every process maps: they are in memory once, however many processes read them.

Pickle's protocol 5 keeps the buffers of arrays (numpy's, and Arrow's, of which pandas makes columns of text) out of the
stream. They are written one after the other; a reader maps the file and hands out parts of the map, so that a table of
a million rows is neither read nor copied before somebody looks at a column.
"""

from __future__ import annotations

import mmap
import pickle
import struct
from pathlib import Path
from typing import Any

# The alignment that Arrow asks of its buffers.
ALIGNMENT = 64
_LENGTH = struct.Struct("<Q")


def save(value: Any, path: Path) -> None:
    """Write `value` to `path`."""
    buffers: list[pickle.PickleBuffer] = []
    stream = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    parts: list[bytes | memoryview] = [stream, *(buffer.raw() for buffer in buffers)]
    with path.open("wb") as file:
        file.write(_LENGTH.pack(len(parts)))
        for part in parts:
            file.write(_LENGTH.pack(len(part)))
        for part in parts:
            file.write(bytes(-file.tell() % ALIGNMENT))
            file.write(part)


def load(path: Path) -> Any:
    """What `save` wrote, its arrays in the mapped file; a process that writes to one gets its own copy of that page.

    Only for a file that this program wrote: it is a pickle.
    """
    with path.open("rb") as file:
        # A private map: arrays may be written to, which some estimators insist on, and the file stays as it is.
        view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    at = _LENGTH.size
    count = _LENGTH.unpack_from(view)[0]
    sizes = [_LENGTH.unpack_from(view, at + number * _LENGTH.size)[0] for number in range(count)]
    at += count * _LENGTH.size
    parts = []
    for size in sizes:
        at += -at % ALIGNMENT
        parts.append(view[at : at + size])
        at += size
    return pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301 - written by this program, in a job's own folder
