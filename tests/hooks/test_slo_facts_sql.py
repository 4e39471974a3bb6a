"""SLOs measured with SQL."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from planner_provider.decide.slo import SloRules
from planner_provider.graph.slos import Indicator, Query, Slo
from planner_provider.hooks.slo_facts import Look, look_at
from tests.hooks.test_slo_facts import measure, slo

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sqlite3.Connection:
    file = tmp_path / "shop.db"
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": "sqlite", "host": str(file)}))
    database = sqlite3.connect(file)
    database.execute("CREATE TABLE payments (at TEXT, ok INTEGER, seconds REAL)")
    rows = [
        (f"{NOW - timedelta(minutes=minute / 4):%Y-%m-%d %H:%M:%S}", minute % 200 != 7, 0.1)
        for minute in range(4 * 60 * 24 * 4)
    ]
    database.executemany("INSERT INTO payments VALUES (?, ?, ?)", rows)
    database.commit()
    return database


def by_sql(kind: str, text: str, total: str | None = None, **more: Any) -> Slo:
    def sql(statement: str) -> Query:
        return Query(source="sql", connection="shop", text=statement)

    indicator = Indicator(
        kind=kind,
        query=sql(text),
        total=None if total is None else sql(total),
        **more,
    )
    return slo("payments", indicator=indicator)


WHERE = "FROM payments WHERE at > :since AND at <= :until"


def look_then(*slos: Slo) -> Look:
    return look_at(slos, SloRules(), clock=lambda: NOW)


@pytest.mark.usefixtures("shop")
def test_sql_ratio() -> None:
    seen = look_then(
        by_sql("bad", f"SELECT COUNT(*) {WHERE} AND ok = 0;", f"SELECT COUNT(*) {WHERE}")
    )
    assert seen.verdict.passes, seen.verdict.text
    assert measure(seen, "all in 1h") == 240
    assert measure(seen, "bad in 1h") == 2
    assert "from sql queries" in "\n".join(seen.told())


def test_sql_breach(shop: sqlite3.Connection) -> None:
    shop.execute("UPDATE payments SET ok = 0 WHERE at > '2026-11-23 10:00:00'")
    shop.commit()
    seen = look_then(
        by_sql("good", f"SELECT COUNT(*) {WHERE} AND ok = 1", f"SELECT COUNT(*) {WHERE}")
    )
    assert seen.verdict.kind.value == "refuse"


@pytest.mark.usefixtures("shop")
def test_sql_threshold_and_raw() -> None:
    samples = f"SELECT seconds AS value {WHERE}"
    assert look_then(by_sql("threshold", samples, op="lt", limit=0.3)).verdict.passes
    assert not look_then(by_sql("threshold", samples, op="gt", limit=0.3)).verdict.passes
    ratio = f"SELECT 1 - ok AS value {WHERE}"
    assert look_then(by_sql("raw_failure", ratio)).verdict.passes
    assert not look_then(by_sql("raw_success", ratio)).verdict.passes


def test_sql_null_counts_as_bad(shop: sqlite3.Connection) -> None:
    shop.execute("UPDATE payments SET ok = NULL, seconds = NULL")
    shop.commit()
    ratio = by_sql("raw_failure", f"SELECT 1 - ok AS value {WHERE}")
    samples = by_sql("threshold", f"SELECT seconds AS value {WHERE}", op="lt", limit=0.3)
    for item in (ratio, samples):
        assert look_then(item).verdict.kind.value == "refuse"


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT NULL FROM payments WHERE at > :since LIMIT 1", "NULL, no number"),
        ("SELECT 'many' FROM payments WHERE at > :since LIMIT 1", "str, no number"),
        ("SELECT ok FROM payments WHERE at > :since LIMIT 2", "2 rows where one is needed"),
        ("SELECT ok FROM payments WHERE at > :since AND 1 = 0", "no row"),
        ("SELECT x FROM payments WHERE at > :since", "no such column"),
        ("DELETE FROM payments WHERE at > :since", "a check only reads"),
        ("SELECT -1 FROM payments WHERE at > :since LIMIT 1", "fewer than no events"),
    ],
)
def test_sql_that_gives_no_number(text: str, said: str) -> None:
    seen = look_then(by_sql("bad", text, f"SELECT COUNT(*) {WHERE}"))
    assert seen.verdict.inconclusive
    assert said in seen.verdict.text


@pytest.mark.usefixtures("shop")
def test_a_table_that_is_not_fed_any_more_is_inconclusive() -> None:
    item = by_sql("bad", f"SELECT COUNT(*) {WHERE} AND ok = 0", f"SELECT COUNT(*) {WHERE}")
    seen = look_at((item,), SloRules(), clock=lambda: NOW + timedelta(minutes=4))
    assert seen.verdict.inconclusive
    assert "too few" in seen.verdict.text
