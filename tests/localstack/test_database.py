"""The migrated database is made once for a set of packages, and copied after that."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from planner_provider.localstack import database
from planner_provider.localstack.database import DatabaseError, prepare_database, template_path
from planner_provider.localstack.keeper import Keeper
from planner_provider.localstack.settings import StackSettings


class FakeMigration:
    """Stands in for ``airflow db migrate``: a database with the table that marks it as migrated."""

    def __init__(self) -> None:
        self.homes: list[Path] = []

    def __call__(self, home: Path, environment: Mapping[str, str], keeper: Keeper) -> None:
        self.homes.append(home)
        url = environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        file = url.removeprefix("sqlite:///").partition("?")[0]
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS alembic_version (version_num TEXT)")
            connection.execute("DELETE FROM alembic_version")
            connection.execute("INSERT INTO alembic_version VALUES ('abc')")
            connection.commit()


@pytest.fixture
def migration(monkeypatch: pytest.MonkeyPatch) -> FakeMigration:
    fake = FakeMigration()
    monkeypatch.setattr(database, "migrate", fake)
    return fake


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    with Keeper(grace=0.2) as made:
        yield made


def prepare(tmp_path: Path, name: str, keeper: Keeper, cache: Path | None) -> bool:
    settings = StackSettings(home=tmp_path / name, port=1)
    settings.prepare_home()
    copied = prepare_database(settings, settings.environment(), keeper, cache)
    with closing(sqlite3.connect(settings.database)) as connection:
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [("abc",)]
    return copied


def test_one_migration_serves_many_homes(
    tmp_path: Path, migration: FakeMigration, keeper: Keeper
) -> None:
    cache = tmp_path / "cache"
    assert prepare(tmp_path, "one", keeper, cache)
    assert prepare(tmp_path, "two", keeper, cache)
    assert len(migration.homes) == 1
    assert migration.homes[0].parent == cache
    assert sorted(path.suffix for path in cache.iterdir()) == ["", ".db"], "nothing half made stays"


def test_without_a_cache_each_home_is_migrated(
    tmp_path: Path, migration: FakeMigration, keeper: Keeper
) -> None:
    assert not prepare(tmp_path, "one", keeper, None)
    assert migration.homes == [tmp_path / "one"]


def test_a_home_that_is_used_again_is_brought_up_to_date(
    tmp_path: Path, migration: FakeMigration, keeper: Keeper
) -> None:
    cache = tmp_path / "cache"
    prepare(tmp_path, "one", keeper, cache)
    assert not prepare(tmp_path, "one", keeper, cache)
    assert migration.homes[-1] == tmp_path / "one"


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
def test_a_damaged_template_is_made_again(
    tmp_path: Path, migration: FakeMigration, keeper: Keeper, content: bytes
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    template_path(cache).write_bytes(content)
    assert prepare(tmp_path, "one", keeper, cache)
    assert len(migration.homes) == 1


def test_other_packages_get_another_template(
    tmp_path: Path, migration: FakeMigration, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    prepare(tmp_path, "one", keeper, cache)
    monkeypatch.setattr(database, "fingerprint", lambda: "other")
    prepare(tmp_path, "two", keeper, cache)
    assert len(migration.homes) == 2
    assert [path.name for path in cache.glob("*.db")] == ["airflow-other.db"], "old ones go"


def test_the_fingerprint_is_stable() -> None:
    assert database.fingerprint() == database.fingerprint()


def test_a_migration_that_fails_says_why(
    tmp_path: Path, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho no such revision\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(database.sys, "executable", str(program))
    with pytest.raises(DatabaseError, match=r"exit code 3(?s:.*)no such revision"):
        database.migrate(tmp_path, {"PATH": "/usr/bin:/bin"}, keeper)
