from __future__ import annotations

import pytest

from planner_provider.spec.promql import plain_selector, quoted, selectors


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("up", "up"),
        (" sum( up ) ", "up"),
        ('a:b_total{x="}",y=~"a|b"}', 'a:b_total{x="}",y=~"a|b"}'),
        ('{__name__="up"}', '{__name__="up"}'),
        ("sum(rate(up[5m]))", None),
        ("up + up", None),
        ("sum by (job) (up)", None),
        ("1", None),
        ("nan", None),
    ],
)
def test_plain_selector(text: str, selector: str | None) -> None:
    assert plain_selector(text) == selector


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sum(rate(x{a='b'}[{{.window}}])) / sum(rate(y[{{ .window }}]))", ("x{a='b'}", "y")),
        ("sum by (job, code) (x) / on (job) group_left (team) y", ("x", "y")),
        ("sum(x) without (pod)", ("x",)),
        ("histogram_quantile(0.99, sum(rate(h_bucket[5m:30s])) by (le)) > bool 0.5", ("h_bucket",)),
        ('x offset 5m or {__name__="y"} unless z @ end()', ("x", '{__name__="y"}', "z")),
        ("x + x # y", ("x",)),
        ("vector(1) * Inf - 1e3 + NaN", ()),
        ('label_replace(x, "a", "b", "c", "d")', ("x",)),
    ],
)
def test_selectors(text: str, found: tuple[str, ...]) -> None:
    assert selectors(text) == found


def test_quoted() -> None:
    assert quoted('a"b\\c\n') == '"a\\"b\\\\c\\n"'
