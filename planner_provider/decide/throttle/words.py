"""What a tick of a throttle did, in words."""

from __future__ import annotations

from planner_provider.decide.model import Reason
from planner_provider.decide.throttle.model import Act, Cause, Move, Observation, Settings

CAUSES: dict[tuple[Act, Cause], str] = {
    (Act.TRIPPED, "severe"): "far too high, so only the minimum may run until it is healthy again",
    (Act.TRIPPED, "near_wall"): "too high, close to where it was before: a small cut, draining",
    (Act.TRIPPED, "far_from_wall"): "too high: cut, draining",
    (Act.CUT_AGAIN, "severe"): "far too high while draining: down to the minimum",
    (Act.CUT_AGAIN, "unhealthy"): "the cut has shown and was not enough: cut again",
    (
        Act.HELD,
        "near_wall",
    ): "just below where it was once too high: waiting before more is tried",
}
TEXTS: dict[Act, str] = {
    Act.HELD: "no reason to change it",
    Act.RAISED: "there is room: raised",
    Act.PROBED: "quiet for long: one more is tried",
    Act.FORGOT: "there is more room than before: what was too much once is forgotten",
    Act.DRAINING: "draining: what was begun must end before more is cut",
    Act.NOT_OURS: "still too high although no more than the minimum runs: the cause is not here",
    Act.RECOVERED: "healthy again: draining is over",
    Act.RESUMED: "nobody looked for a while: held until the present is seen",
}


def reason_of(
    move: Move, seen: Observation, settings: Settings, blocked: str | None = None
) -> Reason:
    """Why the limit is what it is."""
    before, after = _number(move.before), _number(move.after)
    moved = f"limit {before} -> {after}" if before != after else f"limit {after}"
    if blocked is not None:
        return Reason(
            code=Act.BLOCKED.value,
            text=f"Nothing new begins: {blocked} The limit {after} waits until that ends.",
        )
    if seen.ratio is None:
        why = seen.problem or "it was not measured"
        less = "less is allowed the longer it is missing" if move.act is Act.BACKED_OFF else "held"
        text = f"Signal not known ({why}), {moved}: {less}."
        return Reason(code=move.act.value, text=text)
    what = CAUSES.get((move.act, move.cause)) or TEXTS[move.act]
    edge = ", by its bounds" if move.bounded and before != after else ""
    text = (
        f"Signal {seen.ratio:.2f} of what is allowed (target {settings.set_point:.2f}), "
        f"{seen.running} running, {moved}{edge}: {what}."
    )
    return Reason(code=move.act.value, text=text)


def _number(value: float) -> str:
    return str(int(value + 1e-9))
