"""The benchmark of gates, made small: it must tell the truth about what it saw."""

from __future__ import annotations

import json

import pytest

from bench.gates import Size, queries_per_interval, run


def test_queries_of_one_interval_are_counted_together() -> None:
    steady = [(10.0 * n, query) for n in range(5) for query in ("a", "b")]
    assert queries_per_interval(steady, 10) == 1
    assert queries_per_interval([*steady, (21.0, "a")], 10) == 2


def test_a_small_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Size(gates=20, distinct=2, every_s=1.5), as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["waiting"] == 20
    assert report["summary"]["saw_the_breach"] == 20
    assert report["summary"]["queries_per_interval_max"] >= 1
    assert report["memory"]["before"]["rss_mb"] > 50
