"""``planner replay``: make a recorded decision again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner_provider.cli.layout import moment, paragraph, plain, short
from planner_provider.cli.ledger_access import AsJson, LedgerUrl, json_text, open_reports
from planner_provider.cli.show import verdict_words
from planner_provider.cli.terminal import FOUND, UserError, complain, width, write

if TYPE_CHECKING:
    from planner_provider.decide.replay import Replay
    from planner_provider.ledger.rows import RecordedDecision

ABSENT = "(absent)"


def replay(
    decision_id: Annotated[
        str, typer.Argument(help="Number of the decision, as `planner show` gives it: 7 or #7.")
    ],
    ledger: LedgerUrl = None,
    json_: AsJson = False,
) -> None:
    """Decide again from what was recorded, and compare with the verdict of then, to the byte.

    Also says whether the record is the one that the audit trail has. Ends with 0 if the verdict is
    equal and the record genuine, 1 if not, 2 if it cannot be decided again.
    """
    number = decision_id.removeprefix("#")
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise UserError(f"{decision_id!r} is no number of a decision", "`planner show` lists them")
    reports = open_reports(ledger)
    found = reports.decision(int(number))
    if found is None:
        raise UserError(
            f"there is no decision #{number} in the ledger at {reports.place}",
            "`planner show PLAN_ID` lists the decisions of a run",
        )
    genuine = reports.vouches_for(found)
    if genuine is False:
        complain(
            f"the record of decision #{number} was CHANGED after it was made: it is not the one "
            "that the audit trail has",
            "run `planner audit verify`, and do not rely on this record",
        )
    again = _again(found)
    changes = tuple(_differences(_read(again.recorded), _read(again.again)))
    if json_:
        write(json_text({**_replay_json(found, again, changes), "genuine": genuine}))
    else:
        write(_replay_text(found, again, changes))
    if genuine is None:
        complain(
            f"the audit trail does not say what decision #{number} was: `planner audit verify`"
        )
    if not again.equal or genuine is False:
        raise typer.Exit(FOUND)


def _again(found: RecordedDecision) -> Replay:
    from pydantic import ValidationError

    from planner_provider.decide.replay import replay as decide_again

    kind, version = found.decision.kind, found.decision.version
    try:
        return decide_again(found.decision)
    except (KeyError, ModuleNotFoundError):
        raise UserError(
            f"decision #{found.id} is of the kind {kind!r}, which this release does not know",
            "use the release that made it, or a newer one",
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the record"
        raise UserError(
            f"the recorded inputs of decision #{found.id} ({kind}, version {version}) are not "
            f"those that this release decides from: {where}: {first['msg']}",
            "use the release that made it; or the record was changed: `planner audit verify`",
        ) from error
    except Exception as error:
        raise UserError(
            f"deciding #{found.id} ({kind}) again failed: {type(error).__name__}: {error}",
            "please report this: a decision must never fail",
        ) from error


def _replay_text(
    found: RecordedDecision, again: Replay, changes: tuple[tuple[str, str, str], ...]
) -> str:
    columns = width()
    verdict, reason = verdict_words(found)
    step = f", step {plain(found.step)}" if found.step else ""
    lines = [
        f"Decision #{found.id}: {plain(found.decision.kind)}{step}",
        paragraph(f"run {found.plan_id}, {moment(found.decision.decided_at)} UTC", columns, 2),
        paragraph(f"{verdict}. {reason}", columns, 2),
        "",
    ]
    if again.equal:
        lines.append("EQUAL: the same inputs give the same verdict, to the byte.")
    else:
        lines.append("DIFFERENT: the same inputs now give another verdict.")
        for place, before, after in changes:
            lines += [f"  {plain(place)}", f"    then {before}", f"    now  {after}"]
        if not changes:
            lines.append("  The values are equal; the way in which they are written differs.")
    lines.append(paragraph(_versions(again), columns))
    return "\n".join(line for line in lines) + "\n"


def _versions(again: Replay) -> str:
    then, today = again.recorded_version, again.current_version
    if then == today:
        if again.equal:
            return f"Decided by version {then} of the function, then and now."
        return (
            f"Both were decided by version {then} of the function, so this must not be: the "
            "record was changed, or the function was changed without a new version. Run "
            "`planner audit verify`, and compare with the entry decision.made."
        )
    words = f"The function has version {today} now; version {then} decided then."
    return words if again.equal else f"{words} That can explain the difference."


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _differences(before: Any, after: Any, place: str = "") -> list[tuple[str, str, str]]:
    """Place, value then, value now, of each field that differs."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for key in dict.fromkeys([*before, *after]):
            inner = f"{place}.{key}" if place else str(key)
            if key not in before or key not in after:
                found.append((inner, _shown(before, key), _shown(after, key)))
            else:
                found += _differences(before[key], after[key], inner)
        return found
    if isinstance(before, list) and isinstance(after, list):
        found = []
        for index in range(max(len(before), len(after))):
            inner = f"{place}[{index}]"
            if index >= len(before):
                found.append((inner, ABSENT, _text(after[index])))
            elif index >= len(after):
                found.append((inner, _text(before[index]), ABSENT))
            else:
                found += _differences(before[index], after[index], inner)
        return found
    if type(before) is type(after) and before == after:
        return []
    return [(place or "verdict", _text(before), _text(after))]


def _shown(values: dict[str, Any], key: str) -> str:
    return _text(values[key]) if key in values else ABSENT


def _text(value: Any) -> str:
    return short(json.dumps(value, ensure_ascii=False), 400)


def _replay_json(
    found: RecordedDecision, again: Replay, changes: tuple[tuple[str, str, str], ...]
) -> dict[str, Any]:
    return {
        "decision": found.id,
        "plan_id": found.plan_id,
        "step": found.step,
        "kind": found.decision.kind,
        "decided_at": found.decision.decided_at,
        "equal": again.equal,
        "recorded_version": again.recorded_version,
        "current_version": again.current_version,
        "recorded": _read(again.recorded),
        "again": _read(again.again),
        "differences": [
            {"field": place, "recorded": before, "again": after} for place, before, after in changes
        ],
    }
