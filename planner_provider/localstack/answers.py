"""What Airflow's REST API answers, as far as it is used here: frozen, with checked types."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

FINISHED_RUN_STATES = frozenset({"success", "failed"})
FINISHED_TASK_STATES = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


class Answer(BaseModel):
    """Base of all answers: frozen, and fields that are not named here are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Component(Answer):
    """One part of Airflow, as the health page sees it."""

    status: str | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether it has given a sign of life lately."""
        return self.status == "healthy"


class Health(Answer):
    """Airflow's health: the database and the three processes beside the API server."""

    metadatabase: Component
    scheduler: Component
    triggerer: Component
    dag_processor: Component | None = None

    def unhealthy(self) -> tuple[str, ...]:
        """Return the names of the parts that are not healthy."""
        parts = {
            "metadatabase": self.metadatabase,
            "scheduler": self.scheduler,
            "triggerer": self.triggerer,
            "dag-processor": self.dag_processor,
        }
        return tuple(name for name, part in parts.items() if part is None or not part.is_healthy)


class Tag(Answer):
    """A DAG's tag."""

    name: str


class Dag(Answer):
    """A DAG."""

    dag_id: str
    is_paused: bool
    is_stale: bool
    has_import_errors: bool
    last_parsed_time: datetime | None = None
    bundle_name: str | None = None
    bundle_version: str | None = None
    relative_fileloc: str | None = None
    description: str | None = None
    timetable_summary: str | None = None
    owners: tuple[str, ...] = ()
    tags: tuple[Tag, ...] = ()


class DagDetails(Dag):
    """A DAG with what the details page adds."""

    doc_md: str | None = None
    params: dict[str, object] | None = None
    max_active_runs: int | None = None
    catchup: bool | None = None


class DagVersion(Answer):
    """One version of a DAG."""

    version_number: int
    bundle_name: str | None = None
    bundle_version: str | None = None
    created_at: datetime


class DagRun(Answer):
    """One run of a DAG."""

    dag_id: str
    run_id: str = Field(alias="dag_run_id")
    state: str
    run_after: datetime
    start_date: datetime | None = None
    end_date: datetime | None = None
    conf: dict[str, object] | None = None
    note: str | None = None
    bundle_version: str | None = None
    dag_versions: tuple[DagVersion, ...] = ()

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen in this run by itself."""
        return self.state in FINISHED_RUN_STATES


class TaskInstance(Answer):
    """One task, or one mapped part of it, in a run. No state: not scheduled yet."""

    task_id: str
    map_index: int
    state: str | None
    try_number: int
    max_tries: int = 0
    start_date: datetime | None = None
    end_date: datetime | None = None
    duration: float | None = None
    operator: str | None = Field(default=None, alias="operator_name")
    hostname: str | None = None
    pid: int | None = None
    note: str | None = None

    @property
    def is_finished(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.state in FINISHED_TASK_STATES

    @property
    def label(self) -> str:
        """Its name, with the index if it is mapped."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


class ImportProblem(Answer):
    """A DAG file that cannot be imported."""

    filename: str
    bundle_name: str | None = None
    stack_trace: str
    timestamp: datetime
