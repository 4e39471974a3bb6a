"""A ledger as it looks after two months: plans, runs that ended, and runs of every kind under way.

``python -m bench.ui_seed URL [RUNS [LIVE]]`` fills an empty ledger, for a look at the Plans page.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select, update

from bench.plans import write_plans
from bench.ui_decisions import canary_decision, slo_decision
from planner_provider.cli.inputs import read_specs
from planner_provider.decide.model import Decision
from planner_provider.graph.build import build_graph
from planner_provider.graph.digest import plan_id
from planner_provider.graph.model import PlanGraph, Task
from planner_provider.ledger import Ledger, audit
from planner_provider.ledger.engine import make_engine, writing
from planner_provider.ledger.journal import PART
from planner_provider.ledger.rows import CompiledPlan, Outcome, RunKey
from planner_provider.ledger.schema import (
    ACTS,
    APPROVALS,
    AUDIT,
    AUDIT_HEAD,
    DECISIONS,
    LEASE_QUEUE,
    LEASE_RESOURCES,
    LEASES,
    PLAN_RUNS,
    THROTTLES,
    WORK_ITEMS,
)

SPECS = Path(__file__).parents[1] / "plan_specs"
PLANS = 60
"""Plans of twelve steps, beside those in ``plan_specs``."""
DAYS = 60
ENDINGS = (
    *(Outcome.SUCCEEDED,) * 78, *(Outcome.ROLLED_BACK,) * 9, *(Outcome.BLOCKED,) * 5,
    *(Outcome.REJECTED,) * 3, *(Outcome.EXPIRED,) * 2, *(Outcome.FAILED,) * 2,
    Outcome.ABORTED,
)  # fmt: skip
LOOKS = 60
"""Decisions of a canary that is watched."""


@dataclass(frozen=True)
class Seeded:
    """What was written."""

    plans: int
    ended: int
    live: int


def seed(url: str, folder: Path, *, total: int, live: int, now: datetime | None = None) -> Seeded:
    """Fill a ledger: ``total`` runs, of which ``live`` go on. ``folder`` is for specs."""
    at = now or datetime.now(UTC)
    ledger = Ledger(url)
    ledger.upgrade()
    graphs = read_graphs(folder)
    ledger.remember_compiled(
        CompiledPlan(graph.name, graph.digest, graph.to_json(), f"{graph.name}.yaml", "0" * 64, at)
        for graph in graphs
    )
    world = _World(ledger, random.Random(7), at)
    engine = make_engine(url)
    with writing(engine) as connection:
        for number in range(total - live):
            world.ended(graphs[number % len(graphs)], number)
        world.flush(connection)
        for number in range(live):
            world.live(connection, graphs[number % len(graphs)], number)
        world.flush(connection)
        world.end(connection)
    return Seeded(len(graphs), total - live, live)


def write_specs(folder: Path) -> Path:
    """The specs of this repository, and some more; give their folder."""
    specs = folder / "plan_specs"
    if not specs.exists():
        shutil.copytree(SPECS, specs)
        write_plans(specs / "more", PLANS)
    return specs


def read_graphs(folder: Path) -> list[PlanGraph]:
    """The plans of ``write_specs``: those of this repository first, the long ones before all."""
    read = read_specs([write_specs(folder)])
    found = [build_graph(item, read.specs.catalog) for item in read.specs.plans]
    return sorted(found, key=lambda graph: (graph.name.startswith("release-"), graph.name))


class _World:
    def __init__(self, ledger: Ledger, chance: random.Random, now: datetime) -> None:
        self.ledger = ledger
        self.chance = chance
        self.now = now
        self.rows: dict[Table, list[dict[str, Any]]] = {
            table: [] for table in (PLAN_RUNS, ACTS, DECISIONS, WORK_ITEMS, AUDIT)
        }
        self.hash = audit.GENESIS
        self.gate = slo_decision(now, bad=40)
        self.breach = slo_decision(now, bad=4_000)
        self.look = canary_decision(now)

    # ---- rows, many at once

    def flush(self, connection: Connection) -> None:
        """Write what was collected."""
        for table, rows in self.rows.items():
            if rows:
                connection.execute(insert(table), rows)
                rows.clear()

    def end(self, connection: Connection) -> None:
        """Let the audit trail go on from what was written."""
        last = connection.execute(select(func.max(AUDIT.c.seq))).scalar_one()
        connection.execute(
            update(AUDIT_HEAD)
            .where(AUDIT_HEAD.c.id == audit.HEAD_ID)
            .values(seq=last, hash=self.hash)
        )

    def _note(
        self, what: str, actor: str, key: RunKey, at: datetime, detail: dict[str, Any]
    ) -> None:
        """A line of the audit trail, chained as all are."""
        before = self.hash
        self.hash = audit.entry_hash(before, at, key.plan_id, actor, what, detail)
        self.rows[AUDIT].append(
            {
                "at": at, "plan_id": key.plan_id, "actor": actor, "what": what, "detail": detail,
                "prev_hash": before, "hash": self.hash,
            }
        )  # fmt: skip

    # ---- runs

    def ended(self, graph: PlanGraph, number: int) -> None:
        """A run that ended some time ago."""
        began = self.now - timedelta(minutes=30 + number * DAYS * 1440 / 2_000)
        outcome = self.chance.choice(ENDINGS)
        key = self._pin(graph, f"scheduled__{number:05}", began)
        at = began
        if outcome in {Outcome.SUCCEEDED, Outcome.ROLLED_BACK, Outcome.FAILED}:
            self._decide(key, self.gate, None, began)
            for task in graph.steps:
                at = self._acts(key, task, at)
            if outcome is Outcome.ROLLED_BACK:
                for item in reversed(graph.compensations):
                    at = self._act(key, item.step, at, role="undo")
        reason = {
            Outcome.SUCCEEDED: "Every step is done.",
            Outcome.ROLLED_BACK: "The canary is worse. Undone: all. Nothing else was done.",
        }.get(outcome, "Nothing was changed.")
        end = at + timedelta(seconds=20)
        self.rows[PLAN_RUNS][-1] |= {
            "outcome": outcome.value, "reason": reason, "finished_at": end,
        }  # fmt: skip
        detail = {"outcome": outcome.value, "reason": reason}
        self._note("run.finished", "task:finish", key, end, detail)

    def live(self, connection: Connection, graph: PlanGraph, number: int) -> None:
        """A run under way."""
        began = self.now - timedelta(minutes=self.chance.randint(20, 90))
        key = self._pin(graph, f"manual__live-{number:03}", began)
        self._decide(key, self.gate, None, began)
        self.flush(connection)
        kinds = {t.action.action_name for t in graph.steps if t.action}
        if number % 9 == 8:
            self._approval(connection, key, began)
            return
        generation = self._lease(connection, key, graph, began)
        if number % 11 == 10:
            self._queue(connection, key, graph, began)
            return
        at = began
        steps = graph.steps
        long = next(
            (t for t in steps if t.parts or (t.action and t.action.action_name == "backfill")), None
        )
        stop = steps.index(long) if long is not None else len(steps) // 2
        for task in steps[:stop]:
            at = self._acts(key, task, at, generation)
        task = steps[stop]
        if task.action and task.action.action_name == "canary":
            self._canary(connection, key, task, at, generation)
        elif task.action and task.action.action_name == "patch":
            self._patch(connection, key, task, at, generation)
        elif task.action and task.action.action_name == "backfill":
            self._backfill(connection, key, task, at, generation)
        else:
            parked = at if task.action and task.action.action_name in {"wait", "gate"} else None
            self._act(
                key, task.step or "", at, generation=generation, open_=True,
                parked=parked,
            )  # fmt: skip
        if number % 13 == 5 and "canary" not in kinds:
            runs_held = {"held_at": self.now, "held_by": "ui:ada", "held_reason": "lunch"}
            connection.execute(
                PLAN_RUNS.update().where(PLAN_RUNS.c.plan_id == key.plan_id).values(**runs_held)
            )

    # ---- what a run consists of

    def _pin(self, graph: PlanGraph, run_id: str, at: datetime) -> RunKey:
        key = RunKey(
            plan_id(graph.name, graph.digest, run_id), graph.name, graph.name, run_id, graph.digest
        )
        self.rows[PLAN_RUNS].append(
            {
                "plan_id": key.plan_id, "plan": key.plan, "dag_id": key.dag_id, "run_id": run_id,
                "digest": key.digest, "assessed_at": at, "expires_at": at + timedelta(hours=6),
                "parameters": {"version": "1.5.0"}, "approvals": [], "parameters_sha": "0" * 64,
                "outcome": None, "reason": None, "finished_at": None,
            }
        )  # fmt: skip
        detail = {"digest": key.digest, "run_id": run_id, "requester": "ada"}
        self._note("run.assessed", "task:assess", key, at, detail)
        return key

    def _acts(
        self,
        key: RunKey,
        task: Task,
        at: datetime,
        generation: int | None = None,
    ) -> datetime:
        names = [f"{task.step}{PART}{part.id}" for part in task.parts if not part.each] or [
            task.step or task.label
        ]
        for name in names:
            at = self._act(key, name, at, generation=generation)
        return at

    def _act(
        self,
        key: RunKey,
        step: str,
        at: datetime,
        *,
        role: str = "step",
        generation: int | None = None,
        open_: bool = False,
        parked: datetime | None = None,
        map_index: int = -1,
    ) -> datetime:
        end = at + timedelta(seconds=self.chance.randint(2, 40))
        self.rows[ACTS].append(
            {
                "plan_id": key.plan_id, "generation": generation, "step": step, "role": role,
                "try_number": 1, "map_index": map_index, "intent_at": at, "alive_at": self.now,
                "parked_at": parked, "ended_at": None if open_ else end,
                "result": None if open_ else "done", "detail": None,
            }
        )  # fmt: skip
        if map_index < 0:
            for what in ("act.began",) if open_ else ("act.began", "act.ended"):
                self._note(what, f"task:{step}#1", key, at, {"step": step, "role": role, "try": 1})
        return end

    def _decide(
        self,
        key: RunKey,
        decision: Decision,
        step: str | None,
        at: datetime,
    ) -> None:
        self.rows[DECISIONS].append(
            {
                "plan_id": key.plan_id, "step": step, "actor": "task:guard#1",
                "kind": decision.kind, "version": decision.version, "decided_at": at,
                "inputs": decision.inputs, "verdict": decision.verdict, "recorded_at": at,
            }
        )  # fmt: skip

    def _lease(self, connection: Connection, key: RunKey, graph: PlanGraph, at: datetime) -> int:
        row = connection.execute(
            insert(LEASES).values(plan_id=key.plan_id, taken_at=at).returning(LEASES.c.generation)
        )
        generation: int = row.scalar_one()
        touched = {item.resource: item.mode for item in graph.touches}
        touched[f"plan://{graph.name}"] = "exclusive"
        connection.execute(
            insert(LEASE_RESOURCES),
            [
                {"generation": generation, "resource": name, "mode": mode}
                for name, mode in touched.items()
            ],
        )
        return generation

    def _approval(self, connection: Connection, key: RunKey, at: datetime) -> None:
        connection.execute(
            insert(APPROVALS).values(
                plan_id=key.plan_id, task="approve", digest=key.digest, parameters_sha="0" * 64,
                requester="ada", asked_at=at, expires_at=at + timedelta(hours=4),
                rule=json.dumps({"approvers": ["bob", "carol"], "count": 1}), state="open",
            )
        )  # fmt: skip

    def _queue(self, connection: Connection, key: RunKey, graph: PlanGraph, at: datetime) -> None:
        connection.execute(
            insert(LEASE_QUEUE).values(
                plan_id=key.plan_id, since=at, alive_at=self.now + timedelta(hours=1),
                holds=[[f"plan://{graph.name}", "exclusive"]],
            )
        )  # fmt: skip

    def _canary(
        self, connection: Connection, key: RunKey, task: Task, at: datetime, generation: int
    ) -> None:
        parts = [part.id for part in task.parts]
        for part in parts[:2]:
            at = self._act(key, f"{task.step}{PART}{part}", at, generation=generation)
        began = self.now - timedelta(minutes=LOOKS // 4)
        self._act(
            key, f"{task.step}{PART}{parts[2]}", began, generation=generation,
            open_=True, parked=began,
        )  # fmt: skip
        for look in range(LOOKS):
            when = began + timedelta(seconds=15 * look)
            self._decide(key, self.look, task.step, when)
            last = self.breach if look == LOOKS - 1 and generation % 3 == 0 else self.gate
            self._decide(key, last, task.step, when)

    def _patch(
        self, connection: Connection, key: RunKey, task: Task, at: datetime, generation: int
    ) -> None:
        self._act(key, f"{task.step}{PART}targets", at, generation=generation)
        waves = max((part.wave or 0 for part in task.parts), default=1)
        items: list[dict[str, Any]] = []
        for wave in range(1, waves + 1):
            for place in range(4**wave):
                done = wave < 3 or (wave == 3 and place < 20)
                state = "done" if done else ("acting" if wave == 3 and place < 24 else "waiting")
                if wave == 2 and place == 5:
                    state = "failed"
                items.append(
                    {
                        "plan_id": key.plan_id, "step": task.step,
                        "item": f"node-{wave}-{place:03}", "position": len(items), "wave": wave,
                        "state": state, "detail": "not Ready" if state == "failed" else None,
                        "facts": {}, "tries": int(state != "waiting"),
                        "started_at": at if state != "waiting" else None,
                        "ended_at": self.now if state in {"done", "failed"} else None,
                    }
                )  # fmt: skip
                if state in {"done", "acting"}:
                    for entry in ("begin", "end"):
                        self._act(
                            key, f"{task.step}{PART}wave-{wave}{PART}{entry}", at,
                            generation=generation, map_index=place, open_=state == "acting",
                        )  # fmt: skip
        self.rows[WORK_ITEMS] += items

    def _backfill(
        self, connection: Connection, key: RunKey, task: Task, at: datetime, generation: int
    ) -> None:
        self._act(key, task.step or "", at, generation=generation, open_=True)
        done = self.chance.randint(100, 500)
        items: list[dict[str, Any]] = [
            {
                "plan_id": key.plan_id, "step": task.step,
                "item": f"2026-{1 + n // 28 % 12:02}-{1 + n % 28:02}T{n // 336:02}:00",
                "position": n, "wave": None,
                "state": "done" if n < done else ("acting" if n < done + 8 else "waiting"),
                "detail": None, "facts": {}, "tries": int(n < done + 8),
                "started_at": at if n < done + 8 else None,
                "ended_at": self.now if n < done else None,
            }
            for n in range(720)
        ]  # fmt: skip
        self.rows[WORK_ITEMS] += items
        connection.execute(
            insert(THROTTLES).values(
                plan_id=key.plan_id, name=task.step, current=8, minimum=1, maximum=16,
                changed_by="task:fill#1", changed_at=self.now, version=3, ticked_at=self.now,
                state=json.dumps({"told": "The signal is at 60% of what it may be: 8 at once."}),
            )
        )  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Fill the ledger that is named."""
    import tempfile

    total = int(arguments[1]) if len(arguments) > 1 else 2_000
    live = int(arguments[2]) if len(arguments) > 2 else 50
    with tempfile.TemporaryDirectory() as folder:
        print(seed(arguments[0], Path(folder), total=total, live=live))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
