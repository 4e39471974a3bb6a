from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner_provider.errors import RefusedError
from planner_provider.hooks.sql_text import bind, check_parameters, split

COMMENT = "/*plan='p%20q'*/"


def texts(sql: str) -> list[str]:
    return [statement.text for statement in split(sql)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1", ["select 1"]),
        ("select 1;", ["select 1"]),
        ("a; b ;; c;", ["a", "b", "c"]),
        ("select ';' ; b", ["select ';'", "b"]),
        ('select "a;b"', ['select "a;b"']),
        ("select `a;b`", ["select `a;b`"]),
        ("select 'it''s;' ; b", ["select 'it''s;'", "b"]),
        ("a -- x; y\n; b", ["a -- x; y", "b"]),
        ("a /* ; /* ; */ ; */ ; b", ["a /* ; /* ; */ ; */", "b"]),
        ("do $x$ a; b; $x$; c", ["do $x$ a; b; $x$", "c"]),
        ("do $$ a; b; $$; c", ["do $$ a; b; $$", "c"]),
        ("-- nothing\n; /* here */ ;", []),
        (r"select E'it\'s;', 'C:\'; b", [r"select E'it\'s;', 'C:\'", "b"]),
        (
            "create trigger t after insert on x begin update y set a = case when 1 then 2 end; "
            "delete from z; end; select 1",
            [
                "create trigger t after insert on x begin update y set a = case when 1 then 2 end; "
                "delete from z; end",
                "select 1",
            ],
        ),
        (
            "create procedure p() begin if a then b; end if; c; end; d",
            ["create procedure p() begin if a then b; end if; c; end", "d"],
        ),
    ],
)
def test_split(sql: str, expected: list[str]) -> None:
    assert texts(sql) == expected


def test_split_as_mysql_does() -> None:
    found = split(r"select 'it\'s;' # a; b" + "\n; c", backslash_escapes=True)
    assert [statement.text for statement in found] == [r"select 'it\'s;' # a; b", "c"]


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("x = :a and y = %(b)s", ("a", "b")),
        ("x = ':a' and y = \":b\" -- :c", ()),
        ("x::int = :a::int", ("a",)),
        ("x := 1", ()),
        ("arr[1:n], arr[:n]", ("n",)),
        ("like '%(b)s'", ()),
        ("time '10:30'", ()),
    ],
)
def test_names(sql: str, names: tuple[str, ...]) -> None:
    assert split(sql)[0].names == names
    assert split(sql, named_parameters=False)[0].names == ()


@pytest.mark.parametrize(
    ("style", "text", "values"),
    [
        ("qmark", "a like '5%' and b = ? and c = ?", (1, 1)),
        ("numeric", "a like '5%' and b = :1 and c = :2", (1, 1)),
        ("named", "a like '5%' and b = :x and c = :x", {"x": 1}),
        ("format", "a like '5%%' and b = %s and c = %s", (1, 1)),
        ("pyformat", "a like '5%%' and b = %(x)s and c = %(x)s", {"x": 1}),
    ],
)
def test_bind(style: str, text: str, values: object) -> None:
    (statement,) = split("a like '5%' and b = :x and c = %(x)s")
    assert bind(statement, {"x": 1}, style) == (text, values)


def test_percent_stays_where_the_driver_does_not_read_it() -> None:
    (statement,) = split("a like '5%'")
    assert bind(statement, {}, "pyformat", COMMENT) == (f"a like '5%' {COMMENT}", None)


def test_percent_in_the_comment_is_doubled_where_the_driver_reads_it() -> None:
    (statement,) = split("a = :x")
    assert bind(statement, {"x": 1}, "pyformat", COMMENT)[0] == "a = %(x)s /*plan='p%%20q'*/"


def test_a_line_comment_at_the_end_does_not_swallow_the_comment() -> None:
    (statement,) = split("select 1 -- why")
    assert bind(statement, {}, "qmark", COMMENT)[0] == f"select 1 -- why\n{COMMENT}"


def test_parameters_must_fit() -> None:
    statements = split("select :a, :b")
    check_parameters(statements, {"a": 1, "b": 2})
    with pytest.raises(RefusedError, match="the SQL names :b, but `parameters` gives only a"):
        check_parameters(statements, {"a": 1})
    with pytest.raises(RefusedError, match="gives c, which the SQL does not use; write :c"):
        check_parameters(statements, {"a": 1, "b": 2, "c": 3})


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_literals_survive_and_part_nothing(values: list[str]) -> None:
    """What SQLite reads back is what was quoted, however odd it is."""
    clean = [value.replace("\0", "") for value in values]
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in clean)
    (statement,) = split(f"select {quoted} -- tail ; :x")
    text, none = bind(statement, {}, "qmark", COMMENT)
    assert none is None
    with sqlite3.connect(":memory:") as database:
        assert list(database.execute(text).fetchone()) == clean


@given(st.text(max_size=200))
def test_any_text_gives_pieces_of_itself(sql: str) -> None:
    for statement in split(sql):
        assert statement.text.strip() == statement.text
        assert statement.text in sql or statement.names
