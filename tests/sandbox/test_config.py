from __future__ import annotations

import pytest
from pydantic import ValidationError

from planner_provider.sandbox import ServiceConfig, WorldConfig, default_world


def test_default_world_survives_json() -> None:
    world = default_world()
    assert WorldConfig.model_validate_json(world.model_dump_json()) == world


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"services": []}', "at least 1"),
        ('{"services": [{"name": "a", "version": "1"}, {"name": "a", "version": "2"}]}', "once"),
        ('{"services": [{"name": "hooks", "version": "1"}]}', "reserved"),
        ('{"services": [{"name": "a", "version": "1", "p99_ms": 1}]}', "below median_ms"),
        ('{"services": [{"name": "a", "version": "1", "rsp": 1}]}', "not permitted"),
        ('{"services": [{"name": "a", "version": "1", "rps": NaN}]}', "finite"),
    ],
)
def test_wrong_configuration_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        WorldConfig.model_validate_json(text)


def test_bad_and_slow_versions_follow_the_patterns() -> None:
    world = WorldConfig(
        services=(ServiceConfig(name="a", version="1"),), bad_versions=("2.*", "*-bad")
    )
    assert [world.is_bad(v) for v in ("2.0", "1.0-bad", "1.0")] == [True, True, False]
    assert [world.is_slow(v) for v in ("1.0-slow", "1.0")] == [True, False]
