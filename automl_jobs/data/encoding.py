"""Bytes to UTF-8: which encoding a file has, and where it breaks.

Encodings are called as in an MLTable (read_delimited, `encoding`); Python's names are understood too.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from pathlib import Path

from forestay.errors import InputError

# MLTable's name -> Python's codec. utf8 takes a byte order mark or none, as Azure does.
CODECS = {
    "utf8": "utf-8-sig",
    "utf8bom": "utf-8-sig",
    "ascii": "ascii",
    "iso88591": "latin-1",
    "latin1": "latin-1",
    "windows1252": "cp1252",
    "utf16": "utf-16",
    "utf32": "utf-32",
}
# Those that every reader of an MLTable takes; Azure lists utf16 and utf32 too, but parts of its SDK refuse them.
EVERYWHERE = ("utf8", "utf8bom", "ascii", "iso88591", "latin1", "windows1252")
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf32"),
    (codecs.BOM_UTF32_BE, "utf32"),
    (codecs.BOM_UTF8, "utf8bom"),
    (codecs.BOM_UTF16_LE, "utf16"),
    (codecs.BOM_UTF16_BE, "utf16"),
)
_MAGIC = (
    (b"PAR1", "a Parquet file", "give it the ending .parquet"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "export the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "export the sheet as CSV"),
    (b"%PDF", "a PDF file", "give a CSV, Parquet or JSON Lines file"),
    (b"SQLite format 3", "an SQLite database", "export the table as CSV"),
    (b"ARROW1", "an Arrow file", "write it as Parquet"),
    (b"ORC", "an ORC file", "write it as Parquet"),
    (b"BZh", "packed by bzip2", "unpack it, or pack it by gzip"),
    (b"\xfd7zXZ", "packed by xz", "unpack it, or pack it by gzip"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", "unpack it, or pack it by gzip"),
)
_CHUNK = 1 << 20


def read_bytes(path: Path, where: str, text: bool = True) -> tuple[bytes, bool]:
    """The bytes of a file, unpacked when it is gzip, and whether it was.

    Raises InputError when it is missing, unreadable or empty, and with `text` when it is plainly something else.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError("there is no such file", where=where, fix="check the path") from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read: {getattr(error, 'strerror', None) or error}", where=where) from error
    packed = data.startswith(b"\x1f\x8b")
    if packed:
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"is a broken gzip file: {error}", where=where, fix="pack it again") from error
    if text:
        refuse_binary(data, where)
    if not data or data.isspace():
        raise InputError("the file is empty", where=where, fix="give a file with a header and rows")
    return data, packed


def refuse_binary(data: bytes, where: str) -> None:
    """Raises InputError for a file that is plainly not text, with what it is."""
    for magic, what, fix in _MAGIC:
        if data.startswith(magic):
            raise InputError(f"is {what}, not delimited text", where=where, fix=fix)


def known(name: str) -> str | None:
    """MLTable's name for an encoding given under any usual name; None when MLTable has none for it."""
    try:
        codec = codecs.lookup(CODECS.get(name.lower(), name)).name
    except (LookupError, ValueError):
        return None
    by_codec = {
        "utf-8": "utf8",
        "utf-8-sig": "utf8bom",
        "ascii": "ascii",
        "iso8859-1": "iso88591",
        "cp1252": "windows1252",
        "utf-16": "utf16",
        "utf-16-le": "utf16",
        "utf-32": "utf32",
    }
    return by_codec.get(codec)


def detect(data: bytes, where: str) -> str:
    """MLTable's name of the encoding of `data`.

    A byte order mark decides; then UTF-8 when all of it is valid; then windows1252, and latin1 for the few bytes that
    the former lacks. Raises InputError for binary content.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    at = data.find(b"\0")
    if at >= 0:
        raise InputError(
            "holds NUL bytes: it is binary, or UTF-16 without a byte order mark",
            where=f"{where}:{line_at(data, at)}",
            fix="give a text file, or say --encoding utf16",
        )
    if data.isascii() or _valid(data, "utf-8"):
        return "utf8"
    return "windows1252" if _valid(data, "cp1252") else "latin1"


def to_utf8(data: bytes, encoding: str, where: str) -> bytes:
    """`data` in UTF-8 without a byte order mark. Raises InputError naming the line that is not in `encoding`."""
    codec = CODECS.get(encoding, encoding)
    try:
        codecs.lookup(codec)
    except (LookupError, ValueError) as error:
        raise InputError(
            f"unknown encoding {encoding!r}", where=where, fix=f"MLTable knows {', '.join(CODECS)}"
        ) from error
    if codec in ("utf-8-sig", "utf-8", "ascii") and data.isascii():
        return data
    try:
        if codec in ("utf-8-sig", "utf-8"):
            _decode(data, "utf-8")
            return data.removeprefix(codecs.BOM_UTF8)
        return data.decode(codec).encode("utf-8")
    except UnicodeDecodeError as error:
        line = line_at(data, error.start)
        byte = data[error.start : error.start + 1].hex()
        raise InputError(
            f"is not {encoding}: byte 0x{byte} at line {line}",
            where=f"{where}:{line}",
            fix="set the encoding (--encoding, or `encoding` in the MLTable): " + ", ".join(CODECS),
        ) from error
    except UnicodeError as error:
        raise InputError(f"is not {encoding}: {error}", where=where, fix="set --encoding") from error


def line_at(data: bytes, position: int) -> int:
    """The line, from 1, of a byte position; lines end with LF, CR LF or CR."""
    head = data[:position]
    return 1 + head.count(b"\n") + head.count(b"\r") - head.count(b"\r\n")


def _valid(data: bytes, codec: str) -> bool:
    try:
        _decode(data, codec)
    except UnicodeDecodeError:
        return False
    return True


def _decode(data: bytes, codec: str) -> None:
    """Decode piece by piece, so that a large file is not held a second time. Raises UnicodeDecodeError."""
    decoder = codecs.getincrementaldecoder(codec)()
    for start in range(0, len(data), _CHUNK):
        try:
            held = len(decoder.getstate()[0])
            decoder.decode(data[start : start + _CHUNK], final=start + _CHUNK >= len(data))
        except UnicodeDecodeError as error:
            at = start - held + error.start
            raise UnicodeDecodeError(codec, data, at, at + 1, error.reason) from error
