"""Many gates waiting in one event loop: ``python -m bench.gates_process < plan.json``.

Stands for a triggerer: it has loaded what Airflow's triggerer loads, makes each trigger from its
own copy of the arguments, and runs them as tasks. Prints one line of JSON for each thing that it
tells: ``waiting`` with its memory, and at the end ``done`` with the moments of the events.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

LOADED_ANYWAY = ("airflow.sdk", "airflow.triggers.base", "airflow.jobs.triggerer_job_runner")


_OUT = os.fdopen(os.dup(1), "w")
"""Standard output; what others print goes to standard error."""
os.dup2(2, 1)


def memory() -> dict[str, float]:
    """Resident, proportional and peak memory of this process, in MB."""
    gc.collect()
    sizes: dict[str, float] = {}
    for file, keys in (("status", ("VmRSS", "VmHWM")), ("smaps_rollup", ("Pss",))):
        for line in Path(f"/proc/self/{file}").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in keys:
                sizes[name] = int(rest.split()[0]) / 1024
    return {"rss_mb": sizes["VmRSS"], "peak_mb": sizes["VmHWM"], "pss_mb": sizes["Pss"]}


async def _run(arguments: list[str], wait: float) -> list[dict[str, Any]]:
    from planner_provider.triggers.slo_gate import SloGateTrigger

    async def one(text: str) -> dict[str, Any]:
        async for event in SloGateTrigger(**json.loads(text)).run():
            return {"at": time.time(), "ending": event.payload["ending"]}
        raise AssertionError("a trigger ended without an event")

    tasks = [asyncio.ensure_future(one(text)) for text in arguments]
    await asyncio.sleep(wait)
    tell("waiting", waiting=sum(not task.done() for task in tasks), **memory())
    return list(await asyncio.gather(*tasks))


def tell(what: str, **values: Any) -> None:
    print(json.dumps({"what": what, **values}), file=_OUT, flush=True)


def main() -> None:
    logging.disable(logging.INFO)
    plan = json.loads(sys.stdin.read())
    for name in LOADED_ANYWAY:
        importlib.import_module(name)
    tell("before", **memory())
    cpu = time.process_time()
    events = asyncio.run(_run(plan["triggers"], plan["wait_s"]))
    tell("done", events=events, cpu_s=time.process_time() - cpu, **memory())


if __name__ == "__main__":
    main()
