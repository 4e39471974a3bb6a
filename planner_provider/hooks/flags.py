"""Feature flags: read, set, removed and put back, by the kind of the Connection.

Type ``http``: the protocol of docs/http-target.md (``GET``, ``PUT``, ``DELETE /flags/NAME``).
Type ``kubernetes``: flagd with the OpenFeature operator; the Connection's extra names the
FeatureFlag resource (``"feature_flag": "namespace/name"``) and may name a Connection by which the
OpenFeature Remote Evaluation Protocol is asked afterwards (``"ofrep_connection"``). OFREP itself
only reads flags, so a Connection for it alone is refused.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any, Protocol
from urllib.parse import quote

from planner_provider.errors import MisconfiguredError, RefusedError
from planner_provider.hooks.connections import get_connection
from planner_provider.hooks.kubernetes import (
    FEATURE_FLAGS,
    JSON_PATCH,
    Json,
    KubernetesApi,
    check_name,
)
from planner_provider.hooks.traffic.deployments import again_on_conflict, version_test
from planner_provider.hooks.traffic.plain_http import ask, call, error_of
from planner_provider.hooks.traffic.release import (
    Caller,
    Done,
    Memo,
    Patience,
    Progress,
    already_so,
    changed,
    wait_for,
)
from planner_provider.spec.delivery import Flag

PROVIDERS = "`http` (the protocol of docs/http-target.md) and `kubernetes` (flagd)"
ENABLED, DISABLED = "ENABLED", "DISABLED"


class FlagStore(Protocol):
    """Where one flag is kept."""

    def read(self) -> Json | None:
        """The flag as its provider has it; ``None`` if there is none."""
        ...

    def after(self, now: Json | None) -> Json | None:
        """What the action makes of it. Raises ``RefusedError`` where it cannot."""
        ...

    def write(self, wanted: Json | None) -> bool:
        """Set it, or with ``None`` remove it; returns whether it was another one."""
        ...

    def alike(self, now: Json | None, expected: Json | None) -> bool:
        """Whether the flag as it was read is as expected."""
        ...

    def confirm(self, wanted: Json | None) -> str:
        """Wait until it is so; give back what was seen."""
        ...


class FlagChange:
    """One action on one flag.

    Raises ``MisconfiguredError`` for a Connection of which the provider is not known.
    """

    def __init__(self, action: Flag, caller: Caller, patience: Patience) -> None:
        self.name = action.name
        self._store = _store_for(action, caller, patience)

    def memo(self) -> Memo:
        """The flag before the change; the whole of it."""
        return {"kind": "flag", "name": self.name, "flag": self._store.read()}

    def apply(self, memo: Memo) -> Done:
        """Do what the action says to the flag as it was remembered."""
        before: Json | None = memo["flag"]
        wanted = self._store.after(before)
        self._refuse_meddling(before, wanted)
        was = self._store.write(wanted)
        text = f"Flag {self.name}: {self._store.confirm(wanted)}"
        return changed(text) if was else already_so(text)

    def restore(self, memo: Memo) -> Done:
        """Put it back as it was remembered."""
        if memo.get("name") != self.name:
            raise RefusedError(
                f"What was remembered is about flag {memo.get('name')}, not about {self.name}; "
                "nothing was put back"
            )
        before: Json | None = memo["flag"]
        self._refuse_meddling(before, self._store.after(before))
        was = self._store.write(before)
        text = f"Flag {self.name} as before: {self._store.confirm(before)}"
        return changed(text) if was else already_so(text)

    def _refuse_meddling(self, before: Json | None, wanted: Json | None) -> None:
        now = self._store.read()
        if not (self._store.alike(now, before) or self._store.alike(now, wanted)):
            raise RefusedError(
                f"Flag {self.name} is {_shown(now)}. Before this step it was {_shown(before)}, and "
                f"the step makes it {_shown(wanted)}. Somebody else changed it meanwhile, so it "
                "was left alone"
            )


class HttpFlags:
    """A flag behind ``/flags/NAME``."""

    KEYS = ("enabled", "percentage", "value")

    def __init__(self, action: Flag, connection: str, caller: Caller, patience: Patience) -> None:
        self._action = action
        self._connection = connection
        self._caller = caller
        self._patience = patience
        self._path = f"/flags/{quote(action.name, safe='')}"

    def read(self) -> Json | None:
        """``GET``; 404 means that there is none."""
        answer = ask(self._connection, "GET", self._path, None, self._caller)
        if answer.status == 404:
            return None
        if not 200 <= answer.status < 300:
            raise error_of(answer)
        try:
            told = json.loads(answer.body)
        except ValueError:
            told = None
        if not isinstance(told, dict) or not isinstance(told.get("enabled"), bool):
            raise RefusedError(
                f"{answer.where} does not speak the protocol for flags; it said '{answer.excerpt}'"
            )
        return {key: told[key] for key in self.KEYS if told.get(key) is not None}

    def after(self, now: Json | None) -> Json | None:
        """Only what the action is about; the rest of the flag stays as it is."""
        action = self._action
        match action.action:
            case "remove":
                return None
            case "enable" | "disable":
                change: Json = {"enabled": action.action == "enable"}
            case "rollout":
                change = {"enabled": True, "percentage": percent(action)}
            case "set":
                change = {"enabled": True, "value": action.value}
        return {**(now or {}), **change}

    def write(self, wanted: Json | None) -> bool:
        """``PUT`` or ``DELETE``."""
        now = self.read()
        if self.alike(now, wanted):
            return False
        if wanted is None:
            answer = ask(self._connection, "DELETE", self._path, None, self._caller)
            if answer.status != 404 and not 200 <= answer.status < 300:
                raise error_of(answer)
        else:
            gone = dict.fromkeys((now or {}).keys() - wanted.keys())
            call(self._connection, "PUT", self._path, {**wanted, **gone}, self._caller)
        return True

    def alike(self, now: Json | None, expected: Json | None) -> bool:
        """By all that is expected; a provider may add a percentage to a flag that is made."""
        if now is None or expected is None:
            return now is expected
        more = now.keys() - expected.keys()
        return more <= {"percentage"} and all(
            key in now and now[key] == value for key, value in expected.items()
        )

    def confirm(self, wanted: Json | None) -> str:
        """Read it back."""

        def look() -> Progress:
            now = self.read()
            return Progress(self.alike(now, wanted), _shown(now))

        return wait_for(look, self._patience, f"Flag {self._action.name} as {_shown(wanted)}")


class FlagdFlags:
    """A flag in a FeatureFlag resource, which flagd serves."""

    def __init__(
        self, action: Flag, connection: str, extra: Json, caller: Caller, patience: Patience
    ) -> None:
        where = str(extra.get("feature_flag") or "")
        namespace, slash, name = where.partition("/")
        if not (namespace and slash and name):
            raise MisconfiguredError(
                f"Connection '{connection}' is of type kubernetes, so flags are those of flagd; "
                'its extra must say in which resource: "feature_flag": "namespace/name"'
            )
        self._action = action
        self._api = KubernetesApi(connection)
        self._namespace = check_name(namespace, "namespace")
        self._resource = check_name(name, "FeatureFlag")
        self._ofrep = extra.get("ofrep_connection")
        self._caller = caller
        self._patience = patience
        self._title = f"FeatureFlag {where}"

    def read(self) -> Json | None:
        """The flag's definition."""
        found: Json | None = self._flags(self._get()).get(self._action.name)
        return deepcopy(found)

    def after(self, now: Json | None) -> Json | None:
        """The definition with the action done to it."""
        action = self._action
        if action.action == "remove":
            return None
        flag = deepcopy(now) if now is not None else None
        if action.action == "set":
            return self._with_value(flag)
        if flag is None:
            flag = {"variants": {"on": True, "off": False}, "defaultVariant": "on"}
        flag["state"] = DISABLED if action.action == "disable" else ENABLED
        return self._rolled_out(flag) if action.action == "rollout" else flag

    def write(self, wanted: Json | None) -> bool:
        """A JSON Patch that holds only for the resource as it was read."""

        def step() -> bool:
            found = self._get()
            flags = self._flags(found)
            now = flags.get(self._action.name)
            if now == wanted:
                return False
            key = self._action.name.replace("~", "~0").replace("/", "~1")
            path = f"/spec/flagSpec/flags/{key}"
            body: list[Json] = [
                version_test(found),
                {"op": "remove", "path": path}
                if wanted is None
                else {"op": "add", "path": path, "value": wanted},
            ]
            self._api.patch(FEATURE_FLAGS, self._namespace, self._resource, body, JSON_PATCH)
            return True

        return again_on_conflict(step)

    def alike(self, now: Json | None, expected: Json | None) -> bool:
        """The whole definition."""
        return now == expected

    def confirm(self, wanted: Json | None) -> str:
        """Read the resource back and, where a Connection for it is named, ask flagd by OFREP."""

        def look() -> Progress:
            now = self.read()
            if now != wanted:
                return Progress(False, _shown(now))
            return self._evaluated(wanted) if self._ofrep else Progress(True, _shown(now))

        return wait_for(look, self._patience, f"Flag {self._action.name} as {_shown(wanted)}")

    def _evaluated(self, wanted: Json | None) -> Progress:
        path = f"/ofrep/v1/evaluate/flags/{quote(self._action.name, safe='')}"
        body = {"context": {"targetingKey": "planner"}}
        answer = ask(str(self._ofrep), "POST", path, body, self._caller)
        serves = wanted is not None and wanted.get("state") != DISABLED
        if answer.status == 404:
            return Progress(not serves, "flagd does not serve the flag")
        if answer.status != 200:
            raise error_of(answer)
        try:
            told = json.loads(answer.body)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise RefusedError(f"{answer.where} does not speak OFREP; it said '{answer.excerpt}'")
        reason, value = told.get("reason"), told.get("value")
        text = f"flagd gives {json.dumps(value)}, reason {reason}"
        if not serves or wanted is None:
            return Progress(reason == "DISABLED", text)
        possible = list((wanted.get("variants") or {}).values())
        if not wanted.get("targeting"):
            possible = [wanted["variants"][wanted["defaultVariant"]]]
        return Progress(reason != "DISABLED" and value in possible, text)

    def _with_value(self, flag: Json | None) -> Json:
        value = self._action.value
        if flag is None:
            return {"state": ENABLED, "variants": {"set": value}, "defaultVariant": "set"}
        if flag.get("targeting"):
            raise self._has_rules()
        variants: Json = flag.get("variants") or {}
        name = next((name for name, v in variants.items() if _same_value(v, value)), None)
        if name is None:
            name = "set"
            variants = {**variants, name: value}
        return {**flag, "state": ENABLED, "variants": variants, "defaultVariant": name}

    def _rolled_out(self, flag: Json) -> Json:
        variants: Json = flag.get("variants") or {}
        on = next((name for name, value in variants.items() if value is True), None)
        off = next((name for name, value in variants.items() if value is False), None)
        share = percent(self._action)
        if on is None or off is None:
            raise RefusedError(
                f"Flag {self._action.name} of {self._title} is not one of true and false, so it "
                "cannot be rolled out to a share"
            )
        if not isinstance(share, int):
            raise RefusedError(f"flagd takes whole percentages only, not {share}%")
        if flag.get("targeting") and set(flag["targeting"]) != {"fractional"}:
            raise self._has_rules()
        fractions = {"fractional": [[on, share], [off, 100 - share]]}
        return {**flag, "defaultVariant": off, "targeting": fractions}

    def _has_rules(self) -> RefusedError:
        return RefusedError(
            f"Flag {self._action.name} of {self._title} has targeting rules of its own, which this "
            "action would override. Change it where the rules are kept"
        )

    def _get(self) -> Json:
        return self._api.get(FEATURE_FLAGS, self._namespace, self._resource)

    def _flags(self, found: Json) -> Json:
        flags = ((found.get("spec") or {}).get("flagSpec") or {}).get("flags")
        if not isinstance(flags, dict):
            raise RefusedError(f"{self._title} has no spec.flagSpec.flags")
        return flags


def percent(action: Flag) -> int | float:
    """The share of a ``rollout`` in percent; a whole number where it is one."""
    share = round((action.percentage or 0.0) * 100, 6)
    return int(share) if share == int(share) else share


def _store_for(action: Flag, caller: Caller, patience: Patience) -> FlagStore:
    conn_id = action.connection or "flags_default"
    connection = get_connection(conn_id, "http")
    extra = connection.extra_dejson
    kind = connection.conn_type
    if extra.get("flag_provider") == "ofrep":
        raise RefusedError(
            f"Connection '{conn_id}' is for OFREP, which reads flags and cannot change them. Use a "
            f"connection of type {PROVIDERS}"
        )
    provider = extra.get("flag_provider") or {"http": "http", "https": "http"}.get(kind, kind)
    if provider == "http":
        return HttpFlags(action, conn_id, caller, patience)
    if provider in ("kubernetes", "flagd"):
        return FlagdFlags(action, conn_id, extra, caller, patience)
    raise MisconfiguredError(
        f"Connection '{conn_id}' (type {kind}, flag_provider {extra.get('flag_provider')}) is of "
        f"no known kind of flag provider; known are {PROVIDERS}"
    )


def _same_value(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _shown(flag: Json | None) -> str:
    return "not there" if flag is None else json.dumps(flag, sort_keys=True)
