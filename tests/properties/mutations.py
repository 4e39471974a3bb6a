"""Breaking specs in every way that comes to mind, always the same for the same seed."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import yaml

NASTY_TEXT = (
    "", " ", "x" * 5000, "{{", "{{ params.x }}", "{% if %}", "${{ inputs.path }}", "${{ inputs",
    "$${{ x }}", "yes", "null", "~", "2026-11-01", "10%", "1000%", "5m", "P1D", "-1", "1e400",
    "0x1F", "*a", "&a", "<<", "\n", "\t", "a: b", "- a", "# no", "'", '"', "\\", "é", "\u202e",
    "\x00", "\ud7ff", "😀", "a\nb", "..", "../../etc/passwd", "password", "ghp_" + "a1B2" * 9,
    "postgres://a:b@c/d", "FREQ=DAILY;COUNT=0", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "0 0 30 2 *", "* * * * *", "@daily", "(", "(a+)+$", "team:", "auto", "planner/v1",
    "openslo/v1", "Plan", "SLO", "[" * 200, "{{ " + "(" * 300, "name\n", "Europe/", "a" * 63,
)  # fmt: skip
NASTY_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 10**400, 1.5, -0.0, float("inf"), float("nan"), [], {}, [[]],
    [{}], {"a": {}}, [None], {"": ""}, {"{{ x }}": 1}, [1, "a", None], {"id": "x"},
    {"http": None}, {"name": {"name": "x"}},
)  # fmt: skip
NASTY_BYTES = (
    b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\t", b"\r", b"\n", b"---\n", b"...\n",
    b"- ", b": ", b"? ", b"[", b"]", b"{", b"}", b"'", b'"', b"|", b">", b"&a ", b"*a", b"!!",
    b"!x ", b"!!python/name:os.system ", b"%YAML 1.1\n---\n", b"<<: *a\n", b"#", b"@", b"`",
    b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xae", b"[" * 300, b"- " * 300, b"{a: " * 100,
    b"\\x41", b"&a [*a]", b"null", b"~", b",", b"{{ params.x }}",
)  # fmt: skip


def mutate(text: str, source: random.Random) -> bytes:
    """Break a document in one to four places."""
    if source.random() < 0.5:
        return _mutate_bytes(text.encode(), source)
    return _mutate_structure(text, source)


def _mutate_bytes(content: bytes, source: random.Random) -> bytes:
    out = bytearray(content)
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(out) + 1)
        kind = source.randrange(7)
        if kind == 0:
            out[at:at] = source.choice(NASTY_BYTES)
        elif kind == 1:
            del out[at : at + source.choice((1, 2, 5, 40, 400))]
        elif kind == 2 and at < len(out):
            out[at] = source.randrange(256)
        elif kind == 3:
            out[at:at] = out[at : at + source.randint(1, 200)]
        elif kind == 4:
            lines = bytes(out).splitlines(keepends=True)
            if len(lines) > 1:
                one, two = source.sample(range(len(lines)), 2)
                lines[one], lines[two] = lines[two], lines[one]
                out = bytearray(b"".join(lines))
        elif kind == 5:
            lines = bytes(out).splitlines(keepends=True)
            if lines:
                index = source.randrange(len(lines))
                moved = lines[index].lstrip(b" ")
                lines[index] = b" " * source.randrange(12) + moved
                out = bytearray(b"".join(lines))
        elif at < len(out):
            del out[at:]
    return bytes(out)


def _mutate_structure(text: str, source: random.Random) -> bytes:
    data = copy.deepcopy(list(yaml.safe_load_all(text)))
    for _ in range(source.randint(1, 4)):
        spots = list(_spots(data))
        if not spots:
            break
        holder, key = source.choice(spots)
        kind = source.randrange(9)
        if kind == 0:
            del holder[key]
        elif kind == 1:
            holder[key] = copy.deepcopy(source.choice(NASTY_VALUES))
        elif kind == 2:
            holder[key] = source.choice(NASTY_TEXT)
        elif kind == 3:
            other, other_key = source.choice(spots)
            holder[key] = copy.deepcopy(other[other_key])
        elif kind == 4:
            holder[key] = [holder[key]]
        elif kind == 5:
            holder[key] = {"name": holder[key]}
        elif kind == 6 and isinstance(holder, dict):
            holder[source.choice((*NASTY_TEXT, str(key) + "s", str(key)[1:]))] = holder.pop(key)
        elif kind == 7 and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        elif isinstance(holder[key], str) and holder[key]:
            place = source.randrange(len(holder[key]))
            holder[key] = holder[key][:place] + source.choice(NASTY_TEXT) + holder[key][place + 1 :]
        else:
            holder[key] = source.choice((source.randint(-(10**9), 10**9), source.random() * 1e6))
    return _dump(data, source)


def _spots(data: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    pending = [data]
    while pending:
        value = pending.pop()
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            found.append((value, key))
            if isinstance(value[key], dict | list):
                pending.append(value[key])
    return found


def _dump(data: list[Any], source: random.Random) -> bytes:
    if source.random() < 0.3:  # JSON is YAML
        return "\n---\n".join(json.dumps(item, default=str) for item in data).encode()
    dumped = yaml.safe_dump_all(data, sort_keys=False, allow_unicode=source.random() < 0.5)
    return dumped.encode("utf-8", errors="surrogatepass")
