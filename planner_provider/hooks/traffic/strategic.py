"""Strategic merge patches of pod templates, as the Kubernetes API applies them.

Needed on this side to make a changed copy of a Deployment, and to see whether a change is already
there. Lists are merged by the keys that the API's own types declare for what a Deployment holds.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from planner_provider.errors import RefusedError

MERGE_KEYS: dict[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "ports": "containerPort",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
}
"""Name of a list -> the key that tells its items apart. All other lists are replaced as a whole."""
_DIRECTIVE = "$patch"


def merged(base: Any, patch: Any, *, into_patch: bool = False) -> Any:
    """``base`` with ``patch`` applied; neither is changed.

    With ``into_patch``, ``base`` is a patch itself, and the result is the patch that does both:
    deletions are kept rather than carried out.

    Raises:
        RefusedError: a directive that is not supported here, or a list item without its key.
    """
    if not isinstance(patch, dict) or not isinstance(base, dict):
        return deepcopy(patch) if into_patch else _without_directives(patch)
    directive = patch.get(_DIRECTIVE)
    if not into_patch and directive is not None:
        if directive == "replace":
            return _without_directives({k: v for k, v in patch.items() if k != _DIRECTIVE})
        if directive == "delete":
            return {}
        raise _unsupported(f"{_DIRECTIVE}: {directive}")
    out = deepcopy(base)
    for name, value in patch.items():
        if name.startswith("$") and not (into_patch or name == _DIRECTIVE):
            raise _unsupported(name)
        if value is None and not into_patch:
            out.pop(name, None)
        elif isinstance(value, list) and name in MERGE_KEYS:
            out[name] = _merged_list(out.get(name) or [], value, name, into_patch)
        else:
            out[name] = merged(out.get(name), value, into_patch=into_patch)
    return out


def _merged_list(base: list[Any], patch: list[Any], name: str, into_patch: bool) -> list[Any]:
    key = MERGE_KEYS[name]
    if not into_patch and any(_is_replace(item) for item in patch):
        return [_without_directives(item) for item in patch if not _is_replace(item)]
    out = deepcopy(base)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            if into_patch:
                out.append(deepcopy(item))
                continue
            raise RefusedError(f"An item of `{name}` in this patch has no `{key}`; add it")
        at = next((i for i, old in enumerate(out) if _has(old, key, item[key])), None)
        if not into_patch and item.get(_DIRECTIVE) == "delete":
            if at is not None:
                del out[at]
        elif at is None:
            out.append(deepcopy(item) if into_patch else _without_directives(item))
        else:
            out[at] = merged(out[at], item, into_patch=into_patch)
    return out


def _has(item: Any, key: str, value: Any) -> bool:
    return isinstance(item, dict) and item.get(key) == value


def _is_replace(item: Any) -> bool:
    return isinstance(item, dict) and item.get(_DIRECTIVE) == "replace" and len(item) == 1


def _without_directives(value: Any) -> Any:
    """What a patch amounts to where there was nothing before: nulls and directives fall away."""
    if isinstance(value, dict):
        for name in value:
            if name.startswith("$") and name != _DIRECTIVE:
                raise _unsupported(name)
        return {
            name: _without_directives(item)
            for name, item in value.items()
            if item is not None and name != _DIRECTIVE
        }
    if isinstance(value, list):
        return [
            _without_directives(item)
            for item in value
            if not (isinstance(item, dict) and item.get(_DIRECTIVE) in ("delete", "replace"))
        ]
    return deepcopy(value)


def _unsupported(name: str) -> RefusedError:
    return RefusedError(
        f"`patch` uses the directive `{name}`, which is not supported here; use `$patch: replace` "
        "or `$patch: delete`, or write the values themselves"
    )
