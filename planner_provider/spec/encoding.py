"""Bytes to text: UTF-8 only, and nothing in it that people cannot see."""

from __future__ import annotations

import re

from planner_provider.spec.located import Place, Problem

MAX_BYTES = 1024 * 1024
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffe\uffff]")
_CONTROL_BYTES = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


def split_lines(text: str) -> list[str]:
    """Split text at the line breaks that YAML knows."""
    return _LINE_BREAK.split(text)


def line_starts(text: str) -> list[int]:
    """Where each line begins."""
    return [0, *(found.end() for found in _LINE_BREAK.finditer(text))]


def decode(content: bytes) -> tuple[str, bytes] | Problem:
    """The text of a file, and its bytes without byte order mark; or why it is not read."""
    if len(content) > MAX_BYTES:
        return _refuse(
            "PLN104", f"this file has {len(content):,} bytes; {MAX_BYTES:,} are allowed",
            "split it: documents may be spread over any number of files",
        )  # fmt: skip
    if content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]
    if content[:2] in {b"\xff\xfe", b"\xfe\xff"} or (
        len(content) > 3 and content[1::2].count(0) * 4 > len(content)
    ):
        return _refuse("PLN102", "this file is UTF-16, not UTF-8", "save it as UTF-8")
    if content.isascii():
        text = content.decode("ascii")
        bad = _CONTROL_BYTES.search(content) and _CONTROL.search(text)
    else:
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            before = content[: error.start].decode(errors="replace")
            shown = content[error.start : error.start + 1].hex().upper()
            return _refuse(
                "PLN102", f"byte {shown} is not UTF-8",
                "save the file as UTF-8; it may be Latin-1 or Windows-1252", _text_place(before),
            )  # fmt: skip
        bad = _CONTROL.search(text)
        if not bad and (trick := _BIDI.search(text)):
            return _refuse(
                "PLN503",
                f"an invisible character (U+{ord(trick.group()):04X}) makes this text read "
                "differently from how it is run",
                "remove it", _text_place(text[: trick.start()]),
            )  # fmt: skip
    if bad:
        return _refuse(
            "PLN103", f"a control character (U+{ord(bad.group()):04X}) must not stand in a spec",
            "remove it; in double quotes it can be written as an escape such as \\x1b",
            _text_place(text[: bad.start()]),
        )  # fmt: skip
    return text, content


def _text_place(before: str) -> Place:
    lines = split_lines(before)
    return Place(len(lines), len(lines[-1]) + 1)


def _refuse(code: str, message: str, hint: str, place: Place | None = None) -> Problem:
    return Problem(code, (), message, hint, place=place or Place(1, 1))
