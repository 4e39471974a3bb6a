from __future__ import annotations

from typing import Any

import pytest

from planner_provider.errors import RefusedError
from planner_provider.hooks.traffic.strategic import merged

BASE: dict[str, Any] = {
    "spec": {
        "containers": [
            {"name": "app", "image": "a:1", "args": ["x"], "env": [{"name": "A", "value": "1"}]},
            {"name": "proxy", "image": "p:1"},
        ],
        "nodeSelector": {"zone": "a"},
        "tolerations": [{"key": "old"}],
    }
}


def spec(**values: Any) -> dict[str, Any]:
    return {"spec": {**BASE["spec"], **values}}


@pytest.mark.parametrize(
    ("patch", "wanted"),
    [
        ({"tolerations": [{"key": "new"}]}, {"tolerations": [{"key": "new"}]}),
        ({"nodeSelector": {"disk": "ssd"}}, {"nodeSelector": {"zone": "a", "disk": "ssd"}}),
        ({"nodeSelector": {"zone": None}}, {"nodeSelector": {}}),
        (
            {"nodeSelector": {"$patch": "replace", "disk": "ssd"}},
            {"nodeSelector": {"disk": "ssd"}},
        ),
        ({"nodeSelector": {"$patch": "delete"}}, {"nodeSelector": {}}),
        (
            {"containers": [{"name": "proxy", "image": "p:2"}]},
            {"containers": [BASE["spec"]["containers"][0], {"name": "proxy", "image": "p:2"}]},
        ),
        (
            {"containers": [{"name": "proxy", "$patch": "delete"}]},
            {"containers": [BASE["spec"]["containers"][0]]},
        ),
        (
            {"containers": [{"name": "app", "args": ["y"], "env": [{"name": "B", "value": "2"}]}]},
            {
                "containers": [
                    {
                        "name": "app",
                        "image": "a:1",
                        "args": ["y"],
                        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                    },
                    BASE["spec"]["containers"][1],
                ]
            },
        ),
        (
            {"containers": [{"$patch": "replace"}, {"name": "only", "image": "o:1"}]},
            {"containers": [{"name": "only", "image": "o:1"}]},
        ),
        (
            {"volumes": [{"name": "v", "emptyDir": {}}]},
            {"volumes": [{"name": "v", "emptyDir": {}}]},
        ),
        ({"securityContext": {"runAsUser": 1, "x": None}}, {"securityContext": {"runAsUser": 1}}),
    ],
)
def test_merged(patch: dict[str, Any], wanted: dict[str, Any]) -> None:
    before = str(BASE)
    assert merged(BASE, {"spec": patch}) == spec(**wanted)
    assert str(BASE) == before, "what is merged is not changed"


def test_two_patches_in_one_do_what_both_do() -> None:
    first = {
        "spec": {"nodeSelector": {"zone": None}, "containers": [{"name": "app", "image": "a:2"}]}
    }
    second = {
        "spec": {
            "containers": [
                {"name": "app", "env": [{"name": "A", "value": "9"}]},
                {"name": "proxy", "$patch": "delete"},
            ]
        }
    }
    both = merged(first, second, into_patch=True)
    assert both["spec"]["nodeSelector"] == {"zone": None}, "a deletion is kept, not carried out"
    assert merged(BASE, both) == merged(merged(BASE, first), second)


@pytest.mark.parametrize(
    "patch",
    [
        {"$retainKeys": ["a"]},
        {"containers": [{"image": "x"}]},
        {"nodeSelector": {"$patch": "merge"}},
        {"fresh": {"$setElementOrder/containers": []}},
    ],
)
def test_what_is_not_supported_is_refused(patch: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        merged(BASE, {"spec": patch})
