"""Runs the command as a user does, but within this process."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from planner_provider.cli.main import run

GOOD = """\
apiVersion: planner/v1
kind: Plan
metadata: {name: good, owner: team-a}
spec:
  summary: A good plan
  steps:
    - id: put
      http: {connection: api, method: PUT, path: /a, body: {n: 1}}
      rollback: {http: {connection: api, method: DELETE, path: /a}}
"""
BAD = GOOD.replace("name: good", "name: bad").replace("summary", "sumary")
WARNS = GOOD.replace(
    "      rollback: {http: {connection: api, method: DELETE, path: /a}}\n", ""
) + (
    "    - id: next\n      http: {connection: api, method: PUT, path: /b}\n"
    "      rollback: {http: {connection: api, method: DELETE, path: /b}}\n"
)


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Planner = Callable[..., Ended]


def planner(*argv: str | Path) -> Ended:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run([str(part) for part in argv])
    return Ended(code, out.getvalue(), err.getvalue())
