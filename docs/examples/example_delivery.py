"""Change what services run: deploy, scale, a feature flag, blue-green; and put it back.

Connections: ``kubernetes_default`` (type kubernetes) and ``sandbox`` (type http, for the flag).
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from planner_provider.operators.blue_green import BlueGreenOperator
from planner_provider.operators.deploy import DeployOperator
from planner_provider.operators.flag import FlagOperator
from planner_provider.operators.notify import NotifyOperator
from planner_provider.operators.rollback import RollbackOperator
from planner_provider.operators.scale import ScaleOperator

INDEXER = {"kubernetes": {"namespace": "shop", "deployment": "search-indexer"}}
INDEXER_CHANGE = {"image": "registry.example.com/shop/search-indexer:{{ params.version }}"}
SEARCH = {"kubernetes": {"namespace": "shop", "deployment": "search"}}
SEARCH_CHANGE = {"image": "registry.example.com/shop/search:{{ params.version }}"}
SEARCH_TRAFFIC = {"http_route": "search"}
FLAG = {"name": "dark_mode", "action": "rollout", "percentage": "50%", "connection": "sandbox"}
MORE = {"by": "+1", "max_replicas": 6}
PARAMS = {"version": Param("2.4.0", type="string", pattern=r"^\d+\.\d+\.\d+$")}


def before(task_id: str) -> str:
    """What was there before a task changed it."""
    return f"{{{{ ti.xcom_pull('{task_id}', key='before') }}}}"


with DAG(dag_id="example_delivery", schedule=None, tags=["example"], params=PARAMS) as dag:
    scale = ScaleOperator(task_id="scale", target=INDEXER, **MORE)
    deploy = DeployOperator(
        task_id="deploy",
        target=INDEXER,
        change=INDEXER_CHANGE,
        progress_deadline=timedelta(minutes=15),
    )
    # In one task: start beside the old one, all traffic, watch, make it the one that stays.
    switch = BlueGreenOperator(
        task_id="switch",
        target=SEARCH,
        change=SEARCH_CHANGE,
        traffic=SEARCH_TRAFFIC,
        bake=timedelta(minutes=30),
    )
    flag = FlagOperator(
        task_id="flag",
        flag="dark_mode",
        action="rollout",
        percentage="50%",
        connection="sandbox",
    )
    # Keeps the run red when something was put back.
    tell = NotifyOperator(task_id="tell", message="search {{ params.version }} serves everybody.")

    # In reverse order. A task that remembered nothing changed nothing, so nothing is put back. If
    # one of them fails, those after it wait until it is mended and cleared.
    unflag = RollbackOperator(
        task_id="unflag", trigger_rule="one_failed", flag=FLAG, memo=before("flag")
    )
    unswitch = RollbackOperator(
        task_id="unswitch",
        target=SEARCH,
        change=SEARCH_CHANGE,
        traffic=SEARCH_TRAFFIC,
        memo=before("switch"),
    )
    undeploy = RollbackOperator(
        task_id="undeploy", target=INDEXER, change=INDEXER_CHANGE, memo=before("deploy")
    )
    unscale = RollbackOperator(task_id="unscale", target=INDEXER, scale=MORE, memo=before("scale"))
    scale >> deploy >> switch >> flag >> tell
    [scale, deploy, switch, flag] >> unflag >> unswitch >> undeploy >> unscale
