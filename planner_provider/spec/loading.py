"""All documents of a folder together: who refers to whom, and which plans are valid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner_provider.collector import collector_paused
from planner_provider.spec.catalog import Catalog
from planner_provider.spec.companions import Loaded, companions_of, read_companion, with_text
from planner_provider.spec.crosscheck import check_together
from planner_provider.spec.diagnostics import Diagnostic, in_order
from planner_provider.spec.expansion import expand, judge_template
from planner_provider.spec.judge import subject_of, validate
from planner_provider.spec.located import Document, Problem
from planner_provider.spec.meaning import check_document
from planner_provider.spec.naming import guess_key
from planner_provider.spec.plan import Plan
from planner_provider.spec.reader import ReadFile, read_documents
from planner_provider.spec.references import references_of
from planner_provider.spec.selection import files_for_plan
from planner_provider.spec.sources import Progress, SourceFile
from planner_provider.spec.subject import OPENSLO_API, PLANNER_API, Key, Subject, file_diagnostic
from planner_provider.spec.templates import holes_outside

if TYPE_CHECKING:
    from planner_provider.spec.ics import ImportedEvent


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What an administrator allows."""

    allowed_operators: tuple[str, ...] = ()
    """Import paths that `operator` steps may use: exact, or prefixes that end in ``.*``."""
    root: Path | None = None
    """Folder that companion files (.sql, .ics, .rego) must lie in; their spec's own if ``None``."""


@dataclass(frozen=True, slots=True)
class PlanDocument:
    """A valid plan: its template filled in, its SQL files read in."""

    plan: Plan
    file: str
    line: int
    files: tuple[str, ...]
    """Every file whose content the compiled plan depends on, sorted."""


@dataclass(frozen=True, slots=True)
class BrokenPlan:
    """A plan that cannot be used, and why."""

    name: str | None
    """``None`` if not even the name can be read."""
    file: str
    line: int
    diagnostics: tuple[Diagnostic, ...]
    """The errors that keep it from being used; some may be in documents that it needs."""


@dataclass(frozen=True, slots=True)
class SpecSet:
    """What a folder of specs holds."""

    plans: tuple[PlanDocument, ...]
    """Valid plans, sorted by name."""
    catalog: Catalog
    diagnostics: tuple[Diagnostic, ...]
    """All findings, sorted by file and place."""
    broken: tuple[BrokenPlan, ...] = ()
    documents_in: Mapping[str, int] = field(default_factory=dict)
    """How many documents each file holds, broken ones included; files with none are left out."""

    @property
    def plan_names(self) -> tuple[str, ...]:
        """Names of the valid plans, sorted."""
        return tuple(document.plan.metadata.name for document in self.plans)

    @property
    def has_errors(self) -> bool:
        """Whether anything is an error."""
        return any(diagnostic.is_error for diagnostic in self.diagnostics)


@dataclass(eq=False, slots=True)
class Entry:
    """A document while it is judged."""

    subject: Subject
    source: SourceFile
    model: Any = None
    companions: list[str] = field(default_factory=list)
    imported: dict[tuple[str, str], tuple[ImportedEvent, ...]] = field(default_factory=dict)
    """Events of iCalendar files, by file and zone."""
    borrowed: list[Diagnostic] = field(default_factory=list)
    """Errors of other documents without which this one cannot be used."""


Index = Mapping[Key, Sequence[Entry]]


def load(
    files: Sequence[SourceFile],
    options: LoadOptions | None = None,
    *,
    progress: Progress | None = None,
) -> SpecSet:
    """Read and judge all documents together. Never raises on account of their content."""
    with collector_paused():
        return _Loader(options or LoadOptions()).load(files, progress)


def load_one(files: Sequence[SourceFile], name: str, options: LoadOptions | None = None) -> SpecSet:
    """Judge one plan, reading only the files that can matter to it.

    For this plan the result is that of `load`. Diagnostics are those in its own file, and the
    errors elsewhere that keep it from being used.
    """
    options = options or LoadOptions()
    reads: dict[str, ReadFile] = {}
    with collector_paused():
        chosen = files_for_plan(files, name, reads)
        result = _only(_Loader(options, reads).load(chosen, None), name)
    if not result.plans and len(chosen) < len(files):
        # It is broken or missing: only the whole folder tells why in full, with all hints.
        result = _only(load(files, options), name)
    return result


def _only(result: SpecSet, name: str) -> SpecSet:
    plans = tuple(document for document in result.plans if document.plan.metadata.name == name)
    broken = tuple(plan for plan in result.broken if plan.name == name)
    mine = {found for plan in broken for found in plan.diagnostics}
    own_files = {document.file for document in plans} | {plan.file for plan in broken}
    mine.update(found for found in result.diagnostics if found.file in own_files)
    return SpecSet(plans, result.catalog, in_order(mine), broken)


class _Loader:
    def __init__(self, options: LoadOptions, reads: Mapping[str, ReadFile] | None = None) -> None:
        self.options = options
        self.reads = reads or {}
        self.entries: list[Entry] = []
        self.loose: list[Diagnostic] = []
        self.broken: list[BrokenPlan] = []
        self.index: dict[Key, list[Entry]] = {}
        self.phantoms: dict[Key, tuple[Diagnostic, ...]] = {}
        """Names in text that is not YAML, with what is wrong there."""

    def load(self, files: Sequence[SourceFile], progress: Progress | None) -> SpecSet:
        total = len(files)
        for done, source in enumerate(files):
            if progress:
                progress(done, total)
            self.read(source)
        self.find_duplicates()
        for entry in self.entries:
            self.prepare(entry)
        known = _names(self.index, self.phantoms)
        # Templates first: what is wrong with one is not repeated for each plan that uses it.
        for entry in sorted(self.entries, key=lambda entry: not is_template(entry.subject)):
            self.judge(entry, known)
        check_together(self.index)
        for entry in self.entries:
            self.borrow(entry)
        if progress:
            progress(total, total)
        return self.result()

    def read(self, source: SourceFile) -> None:
        read = self.reads.get(source.name) or read_documents(source.name, source.content)
        for document in read.documents:
            entry = Entry(subject_of(document), source)
            self.entries.append(entry)
            if entry.subject.key is not None:
                self.index.setdefault(entry.subject.key, []).append(entry)
        found = [file_diagnostic(source.name, problem) for problem in read.problems]
        self.loose += found
        errors = tuple(diagnostic for diagnostic in found if diagnostic.is_error)
        unread = [key for text in read.unread if (key := guess_key(text)) is not None]
        self.phantoms.update(dict.fromkeys(unread, errors))
        if errors:
            plans = [key.name for key in unread if key.kind == "Plan" and key.api == PLANNER_API]
            nameless = not read.documents and not unread
            names: list[str | None] = [*plans] or ([None] if nameless else [])
            self.broken += [BrokenPlan(name, source.name, errors[0].line, errors) for name in names]

    def find_duplicates(self) -> None:
        for key, entries in self.index.items():
            for entry in entries:
                others = [other for other in entries if other is not entry]
                if others:
                    other = others[0].subject.document
                    entry.subject.report(
                        "PLN301", ("metadata", "name"),
                        f"the {_kind_name(key)} '{key.name}' is defined twice; "
                        f"also in {other.file}:{other.locate(('metadata', 'name')).line}",
                        "rename or delete one of the two",
                    )  # fmt: skip

    def prepare(self, entry: Entry) -> None:
        """Check templates, before plans are made from them."""
        subject = entry.subject
        if is_template(subject):
            entry.model = validate(subject)
            judge_template(subject, entry.model)

    def judge(self, entry: Entry, known: Mapping[tuple[str, str], frozenset[str]]) -> None:
        subject = entry.subject
        kind = subject.key.kind if subject.key else ""
        if kind == "Plan":
            for problem in holes_outside(subject.data.get("spec"), ("spec",)):
                subject.add(problem)
            self.use_template(entry)
        self.read_companions(entry)
        if kind != "PlanTemplate":
            entry.model = validate(subject)
        check_document(subject, entry.model, known, self.index, self.options.allowed_operators)
        if not is_template(subject):
            subject.document.release()
        subject.memo.pop("actions", None)

    def use_template(self, entry: Entry) -> None:
        subject = entry.subject
        use = subject.spec.get("template")
        if not isinstance(use, dict):
            return
        name = use.get("name")
        found = (
            self.index.get(Key(PLANNER_API, "PlanTemplate", name))
            if isinstance(name, str)
            else None
        )
        template = found[0] if found else None
        expand(
            subject, template.subject if template else None, template.model if template else None
        )

    def read_companions(self, entry: Entry) -> None:
        subject = entry.subject
        for companion in list(companions_of(subject)):
            source = entry.source
            part = companion.path[1] if len(companion.path) > 1 else ""
            if subject.template is not None and part in subject.from_template:
                for found in self.index.get(template_key(subject), ()):
                    source = found.source
            loaded = read_companion(companion, source.path, source.name, self.options.root)
            if isinstance(loaded, Problem):
                subject.add(loaded)
            else:
                entry.companions.append(loaded.name)
                self.inline(entry, companion.path, loaded)
                if companion.what == "iCalendar":
                    from planner_provider.spec.calendars import import_events

                    import_events(subject, companion, loaded.text, entry.imported)

    def inline(self, entry: Entry, path: tuple[str | int, ...], loaded: Loaded) -> None:
        kind = entry.subject.key.kind if entry.subject.key else ""
        if path[-1] == "file" and kind in {"Plan", "Fleet"}:
            key = "statement" if kind == "Plan" else "text"
            entry.subject.replace(with_text(entry.subject.data, path, loaded.text, key))

    def borrow(self, entry: Entry) -> None:
        """A plan cannot be used while something that it cannot do without is broken."""
        subject = entry.subject
        if subject.key is None or subject.key.kind != "Plan":
            return
        for needed in self.closure(entry, essential=True):
            entry.borrowed += [found for found in needed.subject.found if found.is_error]
        for reference in references_of(subject):
            if reference.essential:
                entry.borrowed += self.phantoms.get(reference.key, ())

    def closure(self, entry: Entry, *, essential: bool = False) -> list[Entry]:
        """The documents that this one refers to, directly or not."""
        seen: dict[int, Entry] = {id(entry): entry}
        pending = [entry]
        while pending:
            current = pending.pop()
            for reference in references_of(current.subject):
                if essential and (not reference.essential or reference.key.kind == "Plan"):
                    continue
                for found in self.index.get(reference.key, ()):
                    if id(found) not in seen:
                        seen[id(found)] = found
                        pending.append(found)
        del seen[id(entry)]
        return list(seen.values())

    def result(self) -> SpecSet:
        plans: list[PlanDocument] = []
        broken = self.broken
        for entry in self.entries:
            key = entry.subject.key
            document = entry.subject.document
            errors = in_order(
                found for found in (*entry.subject.found, *entry.borrowed) if found.is_error
            )
            if key is None:
                if errors and _may_be_plan(document):
                    broken.append(BrokenPlan(None, document.file, document.place.line, errors))
            elif key.kind == "Plan" and key.api == PLANNER_API:
                line = document.place.line
                if errors or entry.model is None:
                    broken.append(BrokenPlan(key.name, document.file, line, errors))
                else:
                    files = self.files_of(entry)
                    plans.append(PlanDocument(entry.model, document.file, line, files))
        plans.sort(key=lambda plan: plan.plan.metadata.name)
        broken.sort(key=lambda plan: (plan.file, plan.line, plan.name or ""))
        found = (found for entry in self.entries for found in entry.subject.found)
        return SpecSet(
            plans=tuple(plans),
            catalog=catalog_of(self.entries),
            diagnostics=in_order([*self.loose, *found]),
            broken=tuple(broken),
            documents_in=Counter(entry.source.name for entry in self.entries),
        )

    def files_of(self, entry: Entry) -> tuple[str, ...]:
        files = {entry.source.name, *entry.companions}
        for other in self.closure(entry):
            files.update((other.source.name, *other.companions))
        return tuple(sorted(files))


def is_template(subject: Subject) -> bool:
    """Whether a document is a plan template."""
    return subject.key is not None and subject.key.kind == "PlanTemplate"


def template_key(subject: Subject) -> Key:
    """The template that a plan is made from."""
    use = subject.document.data.get("spec", {}).get("template", {})
    return Key(PLANNER_API, "PlanTemplate", use.get("name", ""))


def catalog_of(entries: Iterable[Entry]) -> Catalog:
    """Collect the valid documents."""
    names = {
        (PLANNER_API, "Plan"): "plans", (PLANNER_API, "PlanTemplate"): "templates",
        (PLANNER_API, "Calendar"): "calendars", (PLANNER_API, "Service"): "services",
        (PLANNER_API, "Team"): "teams", (PLANNER_API, "Fleet"): "fleets",
        (PLANNER_API, "Policy"): "policies", (OPENSLO_API, "SLO"): "slos",
        (OPENSLO_API, "SLI"): "slis", (OPENSLO_API, "DataSource"): "data_sources",
        (OPENSLO_API, "AlertPolicy"): "alert_policies",
        (OPENSLO_API, "AlertCondition"): "alert_conditions",
        (OPENSLO_API, "AlertNotificationTarget"): "alert_notification_targets",
        (OPENSLO_API, "Service"): "openslo_services",
    }  # fmt: skip
    collected: dict[str, dict[str, Any]] = {name: {} for name in names.values()}
    for entry in entries:
        key = entry.subject.key
        if key is None or entry.model is None or entry.subject.has_errors or entry.borrowed:
            continue
        collected[names[key.api, key.kind]][key.name] = entry.model
    documents = {name: dict(sorted(found.items())) for name, found in collected.items()}
    imported = {
        (entry.subject.key.name, *file): events
        for entry in entries
        if entry.subject.key is not None
        for file, events in entry.imported.items()
    }
    return Catalog(**documents, imported=imported)


def _names(index: Index, phantoms: Iterable[Key]) -> dict[tuple[str, str], frozenset[str]]:
    names: dict[tuple[str, str], set[str]] = {}
    for key in (*index, *phantoms):
        names.setdefault((key.api, key.kind), set()).add(key.name)
    return {kind: frozenset(found) for kind, found in names.items()}


def _kind_name(key: Key) -> str:
    return f"OpenSLO {key.kind}" if key.api == OPENSLO_API else key.kind


def _may_be_plan(document: Document) -> bool:
    return not isinstance(document.data, dict) or document.data.get("kind") in (None, "Plan")
