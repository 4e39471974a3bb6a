"""The HTTP API of the sandbox, without the HTTP: requests in, answers out.

======  =========================  =========================  ======================================
method  path                       body                       does
======  =========================  =========================  ======================================
GET     /healthz                                              says that it lives
GET     /services, /services/NAME                             what is deployed
GET     /services/NAME/stats                                  what its versions did; ?seconds=
PUT     /services/NAME/canary      {"version"}                deploys a canary at weight 0
DELETE  /services/NAME/canary                                 takes it away; only if it is ?version=
PUT     /services/NAME/weight      {"weight", "version"?}     the canary's share in percent
PUT     /services/NAME/promote     {"version"?}               canary becomes stable; or POST
PUT     /services/NAME/replicas    {"replicas"}               scales
PUT     /services/NAME/version     {"version"}                deploys the stable version at once
GET     /flags, /flags/NAME                                   feature flags
PUT     /flags/NAME                {"enabled", "percentage"}  sets or makes a flag
DELETE  /flags/NAME                                           takes it away
GET     /changes                                              every change; ?since= ?service= ?what=
GET     /changes/count                                        how often; ?service= ?what= ?to=
GET     /faults                                               the faults in force
POST    /faults                    {"kind", ...}              makes something go wrong: ``faults``
DELETE  /faults/ID                                            lifts a fault
GET     /hooks, /hooks/NAME                                   what was posted to a hook
POST    /hooks/NAME                anything                   keeps it; plays the chat service
GET     /sim                                                  the simulated clock
POST    /sim/advance               {"seconds"}                moves a stepped clock on
GET     /metrics                                              for Prometheus
======  =========================  =========================  ======================================

Errors are ``{"error", "detail", "hint"}``: 400 bad input, 404 unknown, 405 wrong method, 409 the
world contradicts, 413 too big. Taking away what is not there is a success without effect. Faults
of the API hit ``/services``, ``/flags`` and ``/hooks``, nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, TypeAdapter, ValidationError

from planner_provider.sandbox import model, wire
from planner_provider.sandbox.call import (
    Answer,
    ApiError,
    Call,
    Handler,
    Request,
    as_json,
    as_json_list,
)
from planner_provider.sandbox.clock import iso
from planner_provider.sandbox.config import FlagName
from planner_provider.sandbox.faults import ANY, HOOKS, UNHARMED, CallEffect
from planner_provider.sandbox.world import FullError, World


class Api:
    """Answers requests about one world.

    ``schema_version`` asks the database, ``metrics`` renders them.
    """

    def __init__(
        self,
        world: World,
        schema_version: Callable[[], int | None] = lambda: None,
        metrics: Callable[[str], tuple[bytes, str]] = lambda _: (b"", "text/plain"),
        wrote: Callable[[], None] = lambda: None,
    ) -> None:
        self._world = world
        self._schema_version = schema_version
        self._metrics = metrics
        self._wrote = wrote
        one = r"/services/(?P<service>[^/]+)"
        flag, hook = r"/flags/(?P<flag>[^/]+)", r"/hooks/(?P<hook>[^/]+)"
        routes: list[tuple[str, str, Handler]] = [
            ("GET", r"/", self._help),
            ("GET", r"/healthz", lambda _: b'{"status": "ok"}\n'),
            ("GET", r"/services", self._list_services),
            ("GET", one, self._get_service),
            ("GET", rf"{one}/stats", self._stats),
            ("PUT", rf"{one}/canary", self._put_canary),
            ("DELETE", rf"{one}/canary", self._delete_canary),
            ("PUT", rf"{one}/weight", self._put_weight),
            ("PUT", rf"{one}/promote", self._promote),
            ("POST", rf"{one}/promote", self._promote),
            ("PUT", rf"{one}/replicas", self._put_replicas),
            ("PUT", rf"{one}/version", self._put_version),
            ("GET", r"/flags", self._list_flags),
            ("GET", flag, self._get_flag),
            ("PUT", flag, self._put_flag),
            ("DELETE", flag, self._delete_flag),
            ("GET", r"/changes", self._list_changes),
            ("GET", r"/changes/count", self._count_changes),
            ("GET", r"/faults", self._list_faults),
            ("POST", r"/faults", self._post_fault),
            ("DELETE", r"/faults/(?P<fault>[^/]+)", self._delete_fault),
            ("GET", r"/hooks", self._list_hooks),
            ("GET", hook, self._list_messages),
            ("POST", hook, self._post_message),
            ("GET", r"/sim", lambda _: as_json(self._sim())),
            ("POST", r"/sim/advance", self._advance),
        ]
        self._routes = [(method, re.compile(path), handler) for method, path, handler in routes]

    # --- finding the way ------------------------------------------------------------------

    def answer(self, request: Request, wait: Callable[[float], None]) -> Answer:
        """Do what the request asks for, through the faults in force. ``wait`` sleeps."""
        try:
            call, handler = self._find(request)
            effect = self._meet(call)
            if effect.delay_before:
                wait(effect.delay_before)
            if effect.hang_up:
                return Answer(0, hang_up=True, delay=effect.delay_after)
            if effect.status is not None:
                raise ApiError(
                    effect.status, "fault", "a fault made this call fail; nothing was done",
                    "try again; GET /faults lists the faults",
                )  # fmt: skip
            answer = handler(call)
            if request.method != "GET":
                self._wrote()
            return Answer(
                answer.status, answer.body, answer.content_type, answer.headers,
                delay=effect.delay_after, hang_up=effect.drop,
            )  # fmt: skip
        except ApiError as error:
            return error.answer()
        except model.ContradictionError as error:
            return ApiError(409, "conflict", error.detail, error.hint).answer()
        except FullError as error:
            return ApiError(409, "full", str(error), "or start a new sandbox").answer()

    def _find(self, request: Request) -> tuple[Call, Callable[[Call], Answer]]:
        parts = urlsplit(request.target)
        path = parts.path.rstrip("/") or "/"
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        allowed: list[str] = []
        if path == "/metrics":
            allowed.append("GET")
            if request.method == "GET":
                return Call(request, {}, query), self._render_metrics
        for method, pattern, handler in self._routes:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            if method == request.method:
                names = {name: unquote(value) for name, value in found.groupdict().items()}
                call = Call(request, names, query)
                self._know(call)
                return call, partial(_ok, handler)
            allowed.append(method)
        if allowed:
            raise ApiError(
                405, "method", f"{request.method} is not possible on {path}",
                f"use {' or '.join(allowed)}", tuple(allowed),
            )  # fmt: skip
        raise ApiError(404, "unknown_path", f"there is nothing at {path}", "GET / lists all paths")

    def _know(self, call: Call) -> None:
        name = call.path.get("service")
        if name is not None:
            self._must_know(name, 404)
        for kind in ("flag", "hook"):
            if kind in call.path:
                try:
                    _NAME.validate_python(call.path[kind])
                except ValidationError:
                    raise ApiError(
                        400, "bad_name", f"{call.path[kind]!r} cannot be the name of a {kind}",
                        "use at most 63 letters, digits, dots, dashes and underscores",
                    ) from None  # fmt: skip

    def _must_know(self, name: str, status: int) -> None:
        if self._world.service(name) is not None:
            return
        known = [service.name for service in self._world.services()]
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise ApiError(status, "unknown_service", f"there is no service {name!r}", hint)

    def _meet(self, call: Call) -> CallEffect:
        service = call.path.get("service")
        first = urlsplit(call.request.target).path.split("/")[1]
        if first == "hooks":
            service = HOOKS
        elif first not in ("services", "flags"):
            return UNHARMED
        return self._world.meet_faults(service, call.request.method != "GET")

    # --- services and flags ---------------------------------------------------------------

    def _view(self, name: str) -> wire.ServiceView:
        service = self._world.service(name)
        assert service is not None, "the path was checked, and services never go away"
        schema = self._schema_version() if name == "orders" else None
        return wire.ServiceView.of(service, self._world.flags(), schema)

    def _help(self, _: Call) -> bytes:
        paths = {
            (m, re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", p.pattern)) for m, p, _ in self._routes
        }
        lines = [
            f"{m} {p}" for m, p in sorted({*paths, ("GET", "/metrics")}, key=lambda x: x[::-1])
        ]
        return json.dumps({"sandbox": "a simulated production", "paths": lines}, indent=1).encode()

    def _list_services(self, _: Call) -> bytes:
        return as_json_list("services", [self._view(s.name) for s in self._world.services()])

    def _get_service(self, call: Call) -> bytes:
        return as_json(self._view(call.path["service"]))

    def _stats(self, call: Call) -> bytes:
        name = call.path["service"]
        seconds = call.number("seconds", 60, 1, 900)
        found = sorted(self._world.recent(name, seconds).items())
        tracks = tuple(wire.TrackStats.of(key, totals) for key, totals in found)
        return as_json(wire.StatsView(service=name, seconds=seconds, tracks=tracks))

    def _change(
        self, call: Call, how: Callable[[model.Service], tuple[model.Service, model.Act]]
    ) -> bytes:
        name = call.path["service"]
        with self._world.lock:
            change = self._world.change(name, how, call.headers())
            return self._changed(change, self._view(name))

    @staticmethod
    def _changed(change: model.Change, service: wire.ServiceView | None = None) -> bytes:
        return as_json(
            wire.ChangedView(
                changed=change.act.effective, change=wire.ChangeView.of(change), service=service
            )
        )

    def _put_canary(self, call: Call) -> bytes:
        version = call.body(wire.VersionBody).version
        return self._change(call, lambda service: model.put_canary(service, version))

    def _delete_canary(self, call: Call) -> bytes:
        expected = call.query.get("version")
        return self._change(call, lambda service: model.remove_canary(service, expected))

    def _put_weight(self, call: Call) -> bytes:
        body = call.body(wire.WeightBody)
        return self._change(call, lambda s: model.put_weight(s, body.weight, body.version))

    def _promote(self, call: Call) -> bytes:
        expected = call.body(wire.PromoteBody).version
        return self._change(call, lambda service: model.promote(service, expected))

    def _put_replicas(self, call: Call) -> bytes:
        replicas = call.body(wire.ReplicasBody).replicas
        return self._change(call, lambda service: model.put_replicas(service, replicas))

    def _put_version(self, call: Call) -> bytes:
        version = call.body(wire.VersionBody).version
        return self._change(call, lambda service: model.put_version(service, version))

    def _list_flags(self, _: Call) -> bytes:
        return as_json_list("flags", [wire.FlagView.of(flag) for flag in self._world.flags()])

    def _get_flag(self, call: Call) -> bytes:
        for flag in self._world.flags():
            if flag.name == call.path["flag"]:
                return as_json(wire.FlagView.of(flag))
        raise ApiError(
            404, "unknown_flag", f"there is no flag {call.path['flag']!r}", "GET /flags lists them"
        )

    def _put_flag(self, call: Call) -> bytes:
        body = call.body(wire.FlagBody)
        change = self._world.set_flag(
            call.path["flag"], body.enabled, body.percentage, call.headers()
        )
        return self._changed(change)

    def _delete_flag(self, call: Call) -> bytes:
        return self._changed(self._world.remove_flag(call.path["flag"], call.headers()))

    # --- what was done --------------------------------------------------------------------

    def _list_changes(self, call: Call) -> bytes:
        since = call.number("since", 0, 0, 10**12)
        wanted = {name: call.query[name] for name in ("service", "what") if name in call.query}
        found: list[BaseModel] = [
            wire.ChangeView.of(change)
            for change in self._world.changes()
            if change.seq > since
            and all(getattr(change.act, name) == value for name, value in wanted.items())
        ]
        return as_json_list("changes", found)

    def _count_changes(self, call: Call) -> bytes:
        tally: dict[tuple[str | None, str, model.Value], list[int]] = {}
        for (service, what, to, effective), number in self._world.change_counts().items():
            shown = {"service": service or "", "what": what, "to": "" if to is None else str(to)}
            if all(call.query.get(name, value) == value for name, value in shown.items()):
                tally.setdefault((service, what, to), [0, 0])[0 if effective else 1] += number
        counts = tuple(
            wire.CountView(service=service, what=what, to=to, effective=done, no_op=idle)
            for (service, what, to), (done, idle) in tally.items()
        )
        return as_json(
            wire.CountsView(
                counts=counts,
                effective=sum(count.effective for count in counts),
                no_op=sum(count.no_op for count in counts),
            )
        )

    # --- faults, hooks, time, metrics -----------------------------------------------------

    def _list_faults(self, _: Call) -> bytes:
        return as_json_list("faults", [wire.FaultView.of(f) for f in self._world.all_faults()])

    def _post_fault(self, call: Call) -> bytes:
        body = call.body(wire.FaultBody)
        if body.service not in (ANY, HOOKS):
            self._must_know(body.service, 400)
        for_ms = None if body.for_ is None else round(float(body.for_) * 1000)
        return as_json(wire.FaultView.of(self._world.add_fault(body.fault(), for_ms)))

    def _delete_fault(self, call: Call) -> bytes:
        text = call.path["fault"]
        fault = self._world.lift_fault(int(text)) if re.fullmatch(r"\d{1,12}", text) else None
        if fault is None:
            raise ApiError(
                404, "unknown_fault", f"fault {text} is not in force", "GET /faults lists them"
            )
        return as_json(wire.FaultView.of(fault))

    def _list_hooks(self, _: Call) -> bytes:
        hooks = {name: len(self._world.messages(name)) for name in self._world.hooks()}
        return json.dumps({"hooks": hooks}).encode()

    def _list_messages(self, call: Call) -> bytes:
        return as_json_list(
            "messages",
            [
                wire.MessageView(at=iso(m.at_ms), body=m.body, headers=dict(m.headers))
                for m in self._world.messages(call.path["hook"])
            ],
        )

    def _post_message(self, call: Call) -> bytes:
        raw = call.request.body
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            body = raw.decode("utf-8", errors="replace")
        held = self._world.post(call.path["hook"], body, call.headers())
        return json.dumps({"ok": True, "held": held}).encode()

    def _sim(self) -> wire.SimView:
        now, clock = self._world.catch_up(), self._world.clock
        return wire.SimView(
            now=iso(now), epoch=now / 1000, stepped=clock.stepped, speed=clock.speed,
            seed=self._world.seed, generation=self._world.generation,
        )  # fmt: skip

    def _advance(self, call: Call) -> bytes:
        seconds = call.body(wire.AdvanceBody).seconds
        if not self._world.clock.stepped:
            raise ApiError(
                409, "conflict", "the clock runs by itself and cannot be moved",
                "start the sandbox with --stepped",
            )  # fmt: skip
        self._world.advance(round(seconds * 1000))
        return as_json(self._sim())

    def _render_metrics(self, call: Call) -> Answer:
        body, content_type = self._metrics(call.request.headers.get("accept", ""))
        return Answer(200, body, content_type)


def _ok(handler: Handler, call: Call) -> Answer:
    return Answer(200, handler(call))


_NAME: TypeAdapter[str] = TypeAdapter(FlagName)
