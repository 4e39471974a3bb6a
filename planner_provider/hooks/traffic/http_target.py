"""Services that a deployer of one's own changes over HTTP; docs/http-target.md is the contract."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, ValidationError

from planner_provider.errors import MisconfiguredError, RefusedError
from planner_provider.hooks.http import HttpAnswer
from planner_provider.hooks.traffic.plain_http import PlainHttp, ask, call, error_of
from planner_provider.hooks.traffic.release import (
    Caller,
    Done,
    Memo,
    Patience,
    Progress,
    ReleaseState,
    already_so,
    changed,
    wait_for,
)
from planner_provider.spec.delivery import Change, HttpTarget


class Side(BaseModel):
    """One version of a service, as the deployer tells."""

    model_config = ConfigDict(frozen=True)

    version: str
    weight: float | None = None
    ready: bool = True


class Told(BaseModel):
    """What ``GET /services/NAME`` answers; other keys are ignored."""

    model_config = ConfigDict(frozen=True)

    stable: Side
    canary: Side | None = None
    replicas: int | None = None


class HttpService:
    """A service behind the HTTP deployment protocol."""

    def __init__(self, target: HttpTarget, caller: Caller) -> None:
        self._connection = target.connection
        self._caller = caller
        if not target.service.strip():
            raise RefusedError("The name of the service is empty. Look at what the template gave")
        self.name = target.service
        self._path = f"/services/{quote(target.service, safe='')}"

    def read(self) -> Told:
        """What is deployed."""
        answer = call(self._connection, "GET", self._path, None, self._caller)
        try:
            return Told.model_validate(json.loads(answer.body))
        except (ValueError, ValidationError) as error:
            why = str(error).splitlines()
            raise RefusedError(
                f"{answer.where} does not speak the HTTP deployment protocol: {' '.join(why[:3])}. "
                f"It said '{answer.excerpt}'"
            ) from error

    def put(self, what: str, body: dict[str, Any]) -> HttpAnswer:
        """Change something."""
        return call(self._connection, "PUT", f"{self._path}/{what}", body, self._caller)

    def delete_canary(self, version: str) -> None:
        """Take the canary away, if it is this version."""
        path = f"{self._path}/canary?version={quote(version, safe='')}"
        answer = ask(self._connection, "DELETE", path, None, self._caller)
        if answer.status != 404 and not 200 <= answer.status < 300:
            raise error_of(answer)


class HttpTargetRelease:
    """Releases of a service behind the HTTP deployment protocol.

    Args:
        shifter: the call of ``traffic.http``; ``None`` for changes in place.

    Raises:
        RefusedError: the change says something that the protocol cannot carry.
    """

    def __init__(
        self,
        target: HttpTarget,
        shifter: PlainHttp | None,
        change: Change,
        caller: Caller,
        patience: Patience,
    ) -> None:
        self._service = HttpService(target, caller)
        self._shifter = shifter
        self._patience = patience
        self.name = f"service {target.service}"
        version = change.version if change.version is not None else change.image
        if not version or change.env or change.patch is not None:
            raise RefusedError(
                f"{self.name} is deployed by HTTP calls, which carry a `version` and nothing else; "
                "leave out `env` and `patch`"
            )
        self._version = version

    def observe(self) -> ReleaseState:
        """Ask what is deployed."""
        told = self._service.read()
        canary = told.canary
        ready = told.stable.ready and (canary is None or canary.ready)
        return ReleaseState(
            stable=told.stable.version,
            canary=canary.version if canary else None,
            weight=canary.weight if canary else 0.0,
            ready=ready,
            detail=_shown(told),
        )

    def is_promoted(self) -> bool:
        """Whether the version is the stable one and there is no canary."""
        told = self._service.read()
        return told.stable.version == self._version and told.canary is None

    def memo(self) -> Memo:
        """The stable version."""
        told = self._service.read()
        return {"kind": "http", "name": self._service.name, "version": told.stable.version}

    def deploy(self) -> Done:
        """Deploy the version in place."""
        return self._put_version(self._version)

    def deploy_canary(self) -> Done:
        """Deploy the version beside the stable one, without traffic."""
        told = self._service.read()
        ours = self._ours(told)
        if not ours and told.stable.version == self._version:
            raise RefusedError(
                f"{self.name} runs {self._version} already, so a canary would be compared with "
                "itself. Nothing was changed"
            )
        if not ours:
            self._service.put("canary", {"version": self._version})
        text = self._wait(
            lambda now: (
                now.canary is not None and now.canary.version == self._version and now.canary.ready
            ),
            f"The canary {self._version} of {self.name}",
        )
        return already_so(text) if ours else changed(text)

    def set_weight(self, percent: int) -> Done:
        """Send the call of ``traffic.http``; confirm it where the deployer tells weights."""
        if self._shifter is None:
            raise MisconfiguredError(f"{self.name}: a canary needs `traffic`; none is given")
        told = self._service.read()
        if not self._ours(told):
            raise RefusedError(
                f"{self.name} has no canary {self._version}, so nothing can get {percent}% of its "
                f"traffic: {_shown(told)}. Nothing was changed"
            )
        if told.canary is not None and told.canary.weight == percent:
            return already_so(_shown(told))
        self._shifter.send(percent)
        text = self._wait(
            lambda now: now.canary is not None and now.canary.weight in (None, percent),
            f"A weight of {percent}% for the canary of {self.name}",
        )
        return changed(text)

    def promote(self) -> Done:
        """Make the canary the stable version."""
        told = self._service.read()
        if told.stable.version == self._version and told.canary is None and told.stable.ready:
            return already_so(_shown(told))
        if not self._ours(told) and told.stable.version != self._version:
            raise RefusedError(
                f"{self.name} has no canary {self._version} to promote: {_shown(told)}. Nothing "
                "was changed"
            )
        self._service.put("promote", {"version": self._version})
        return changed(self._wait_stable(self._version))

    def remove_canary(self) -> Done:
        """Take the canary away, if it is ours; all traffic goes to the stable version."""
        told = self._service.read()
        if told.canary is None:
            return already_so(_shown(told))
        self._ours(told)
        self._service.delete_canary(self._version)
        return changed(self._wait_gone())

    def restore(self, memo: Memo) -> Done:
        """No canary, and the stable version as it was."""
        if memo.get("name") != self._service.name:
            raise RefusedError(
                f"What was remembered is about {memo.get('name')}, not about {self.name}; nothing "
                "was put back"
            )
        before = str(memo["version"])
        told = self._service.read()
        if told.stable.version not in (before, self._version):
            raise RefusedError(
                f"{self.name} runs {told.stable.version}; it ran {before} before this plan, which "
                f"changed it to {self._version}. Somebody else changed it since, so it was left "
                "alone: decide what it shall run, and deploy that by hand"
            )
        removed = already_so("")
        if told.canary is not None and told.canary.version == self._version:
            removed = self.remove_canary()
        put = self._put_version(before)
        return changed(put.text) if removed.changed or put.changed else put

    def progress(self) -> Progress:
        """Whether all that is deployed is ready."""
        state = self.observe()
        return Progress(state.ready, state.detail)

    # ---- parts

    def _ours(self, told: Told) -> bool:
        """Whether our canary is there. Raises ``RefusedError`` if another one is."""
        if told.canary is None:
            return False
        if told.canary.version != self._version:
            raise RefusedError(
                f"{self.name} has the canary {told.canary.version} already, which is not "
                f"{self._version}. It was left alone; let its plan end, or remove it, then go on"
            )
        return True

    def _put_version(self, version: str) -> Done:
        told = self._service.read()
        there = told.stable.version == version
        if not there:
            self._service.put("version", {"version": version})
        text = self._wait_stable(version, canary_may_stay=True)
        return already_so(text) if there else changed(text)

    def _wait_stable(self, version: str, *, canary_may_stay: bool = False) -> str:
        return self._wait(
            lambda now: (
                now.stable.version == version
                and now.stable.ready
                and (canary_may_stay or now.canary is None)
            ),
            f"Version {version} of {self.name}",
        )

    def _wait_gone(self) -> str:
        return self._wait(lambda now: now.canary is None, f"Removing the canary of {self.name}")

    def _wait(self, good: Any, what: str) -> str:
        def look() -> Progress:
            told = self._service.read()
            return Progress(bool(good(told)), _shown(told))

        return f"{self.name}: {wait_for(look, self._patience, what)}"


def _shown(told: Told) -> str:
    stable = f"stable {told.stable.version}{'' if told.stable.ready else ' (not ready)'}"
    canary = told.canary
    if canary is None:
        return f"{stable}, no canary"
    weight = "" if canary.weight is None else f" at {canary.weight:g}%"
    return f"{stable}, canary {canary.version}{weight}{'' if canary.ready else ' (not ready)'}"
