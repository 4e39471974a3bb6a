from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from planner_provider.spec.kinds import Team
from planner_provider.spec.notice_text import (
    FIELDS,
    FILTERS,
    MAX_RENDERED,
    MAX_TEXT,
    MAX_TITLE,
    rendered,
    text_problem,
)

EMPTY = dict.fromkeys(FIELDS, "")


def team(**templates: Any) -> Team:
    return Team.model_validate(
        {
            "apiVersion": "planner/v1", "kind": "Team", "metadata": {"name": "a"},
            "spec": {"templates": templates},
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("plain { text", "plain { text"),
        ("{{ plan }}: {{ reason | upper }}", "shop: ODD"),
        ('{{ owner or "nobody" }}', "nobody"),
        ('{{ owner | default("nobody", true) }}', "nobody"),
        ("{% if severity == 'critical' %}now{% elif owner %}o{% else %}later{% endif %}", "later"),
        ('{{ "now" if event in ["failed", "done"] else "later" }}', "now"),
        ("{{ plan ~ '/' ~ reason | truncate(3, true, '') }}", "shop/odd"),
        ('{% if "odd" in reason and not owner %}yes{% endif %}', "yes"),
        ("{# nothing #}{% raw %}{{ as is }}{% endraw %}", "{{ as is }}"),
        ("{{ reason | length }} {{ plan is lower }}", "3 True"),
    ],
)
def test_fields_filters_and_choices(template: str, said: str) -> None:
    fields = EMPTY | {"plan": "shop", "reason": "odd", "event": "done", "severity": "info"}
    assert text_problem(template) is None
    assert rendered(template, fields) == said


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_may_be_named(name: str) -> None:
    assert rendered(f"{{{{ {name} }}}}", EMPTY | {name: "value"}) == "value"


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ plan", "unexpected end of template"),
        ("a\n{% if %}", "line 2 of it: Expected an expression"),
        ("{{ plam }}", "a notice has no field 'plam'; did you mean plan?"),
        ("a\n{{ params.version }}", "line 2 of it"),
        ("{{ xyz }}", "a notice has no field 'xyz'; there are: answer_url, at,"),
        ("{{ loop }}", "no field 'loop'"),
        ("{{ range }}", "no field 'range'"),
        ("{{ plan.__class__ }}", "not attributes"),
        ("{{ plan[0] }}", "not indexes"),
        ("{{ plan.upper() }}", "not calls"),
        ("{{ plan * 9999999 }}", "not arithmetic"),
        ("{{ plan + plan }}", "~ joins texts"),
        ("{{ 9 ** 9 ** 9 }}", "not arithmetic"),
        ("{% for x in plan %}{{ x }}{% endfor %}", "not {% for %}"),
        ("{% set x = 1 %}", "not {% set %}"),
        ("{% include 'x' %}", "not {% include %}"),
        ("{% macro m() %}{% endmacro %}", "not {% macro %}"),
        ("{{ plan | center(99999999) }}", "no filter 'center' here"),
        ("{{ plan | safe }}", "no filter 'safe' here"),
        ("{{ plan | attr('x') }}", "no filter 'attr' here"),
        ("{{ plan is callable }}", "no test 'callable' here"),
        ("{{ {'a': plan} }}", "not mappings"),
        ("{% autoescape true %}{% endautoescape %}", "not {% autoescape %}"),
        ("{{ plan < 3 }}", "it fails: TypeError"),
        ("{{ plan | truncate(1) }}", "it fails: AssertionError"),
        ("{{ plan | upper(1, 2) }}", "it fails: TypeError"),
    ],
)
def test_what_is_not_read(template: str, problem: str) -> None:
    assert problem in (text_problem(template) or "")
    with pytest.raises(ValueError, match=re.escape(problem)):
        rendered(template, EMPTY)


@pytest.mark.parametrize(
    "template",
    [
        "{{ plan if plan else plan < 3 }}",
        "{% if not plan %}{{ 'text' | truncate(1) }}{% endif %}",
        "{{ plan }}",
        "{% if plan %}x{% endif %}",
    ],
)
def test_what_fails_when_it_is_rendered_or_leaves_nothing_is_said(template: str) -> None:
    assert text_problem(template) is None
    with pytest.raises(ValueError, match=r"Error|nothing is left"):
        rendered(template, EMPTY)


def test_the_page_names_every_filter_and_every_field() -> None:
    page = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text(encoding="utf-8")
    section = page.partition("## A team's own words")[2].partition("\n## ")[0]
    assert [name for name in FILTERS if f"`{name}`" not in section] == []
    webhook = page.partition("A webhook gets")[2].partition("These fields")[0]
    assert [name for name in FIELDS if f"`{name}`" not in webhook] == []


def test_nothing_in_a_value_is_rendered() -> None:
    hostile = "{{ plan_id }}{% for x in y %}"
    assert rendered("{{ reason }}", EMPTY | {"reason": hostile}) == hostile


def test_what_comes_out_is_not_without_end() -> None:
    found = rendered("{{ text }}" * (MAX_TEXT // 10), EMPTY | {"text": "x" * 1000})
    assert len(found) == MAX_RENDERED
    assert found.endswith("…")


@pytest.mark.parametrize(
    "template",
    [
        "{{ " + "(" * 1900 + "plan" + ")" * 1900 + " }}",
        "{{ " + "not " * 250 + "plan }}",
        "{% if plan %}" * 120 + "x" + "{% endif %}" * 120,
    ],
)
def test_deep_nesting_is_refused(template: str) -> None:
    assert len(template) < MAX_TEXT
    assert text_problem(template) == "it is nested too deep"
    with pytest.raises(ValueError, match="too deep"):
        rendered(template, EMPTY)


@pytest.mark.parametrize(
    "templates",
    [
        {"nonsense": {"title": "x"}},
        {"done": {}},
        {"done": {"title": ""}},
        {"done": {"title": "x" * (MAX_TITLE + 1)}},
        {"done": {"text": "x" * (MAX_TEXT + 1)}},
        {"done": {"text": "{{ nothing }}"}},
        {"done": {"title": "{{ plan"}},
        {"done": {"body": "x"}},
        {"done": "x"},
    ],
)
def test_a_team_with_words_that_make_no_sense_is_refused(templates: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        team(**templates)
    assert team(done={"title": "{{ plan }}"}).spec.templates["done"].title == "{{ plan }}"
