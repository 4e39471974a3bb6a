"""How a throttle moves its limit: drain, remember the wall, cruise below it. Pure.

A limit of how many jobs may run is moved so that a signal stays below its target, although the
jobs that run cannot be stopped, the signal is late and noisy, and how much fits changes. The rules
and what they were measured against stand in docs/throttle.md.
"""

from __future__ import annotations

import math

from planner_provider.decide.throttle.course import Course
from planner_provider.decide.throttle.model import (
    Act,
    Cause,
    Limits,
    Move,
    Observation,
    Settings,
    ThrottleState,
)

TRIP, TRIP_NOISE = 0.2, 1.5
"""The excess at which a signal is too high: e-folds, and more for each unit of noise."""
SEVERE = math.log(3)
"""So far above what is allowed, only the minimum is safe."""
NEAR = 0.85
"""Share of the wall from which on a trip is one at the wall."""
MILD = math.log(1.15)
"""A level up to this, at the wall, is what one job too many does."""
FIRST_CUT, WALL_CUT, NEXT_CUT = 0.6, 0.85, 0.5
"""What is left of how many ran: at a trip, at one near the wall, and if that was not enough."""
SHORTEST_S, LONGEST_S = 300.0, 1800.0
"""Seconds of patience at the wall; doubled by each trip at it."""
USUAL_LOOP_S = 150.0
"""The patience is meant for a loop that lasts so long: until a change has shown, twice, and a job.
One that is quicker shows as much in less time, and needs as much less patience."""
DEEP = math.log(0.65)
"""A level below this is far below what is allowed."""
LARGE_RISE = 1.3
"""A rise by more than this factor says nothing of how abrupt a signal is."""
DEEP_RISE = 1.5
"""In a quick loop, while the level is deep, the limit rises by so many times the share by which
the signal is below the set point."""
RECOVERED_SHARE = 0.25
"""How far from what was healthy to what was not the limit goes after draining."""
UNHURT, BELOW_WALL = 0.8, 0.95
"""After a trip at the wall from which at least a share of ``UNHURT`` still ran healthily, the
limit goes to ``BELOW_WALL`` of what ran."""
CRUISE = 0.93
"""Share of the wall below which the limit stays."""
ROOM = 0.83
"""Share of the set point below which the limit may rise; between it and the set point it stays."""
STEP_S, STEP_LEAST, STEP_MOST = 30.0, 0.08, 0.25
"""A rise is such a share of the limit that what is too much drains in about ``STEP_S`` seconds."""
GROWING = 0.03
"""A queue whose ratio grows by more in a tick lets nothing rise."""
SHRINKING = 0.01
"""A queue whose ratio shrinks by more in a tick is on its way, however long it takes."""
FALLEN, FALLEN_NOISE, FALLEN_TICKS = 0.35, 2.0, 2
"""The wall is forgotten when the level is deep and by so much below its mean (and by as much for
each unit of noise), for so many ticks: there is more room than there was."""
CRUISE_MEMORY = 0.05
"""Share of a new level in its mean."""
BACK_OFF_TICKS, BACK_OFF = 6, 0.75
"""After each so many ticks without a signal, so much of the limit is left."""
ABSENT = 3.0
"""Periods after which a tick is one after a time in which nobody looked."""


def advance(state: ThrottleState, seen: Observation, limits: Limits, settings: Settings) -> Move:
    """One tick. The minimum is obeyed before the maximum, and both before the law."""
    course = Course.of(state)
    absent = state.tick > 0 and seen.elapsed_s > ABSENT * settings.period_s
    course.count(seen, settings)
    if absent:
        course.forget_signal()
        course.moved_at = course.tick
    cause: Cause = ""
    if seen.ratio is None:
        act = _without_signal(course, settings)
    else:
        course.missing = 0
        log_ratio = course.look(seen.ratio, settings)
        if course.draining:
            act, cause = _drain(course, seen, log_ratio, settings, limits)
        elif tripped := _trip(course, log_ratio, settings, limits):
            act, cause = Act.TRIPPED, tripped
        else:
            act, cause = _cruise(course, seen, settings)
        if absent and act is Act.HELD:
            act = Act.RESUMED
    wanted = course.limit
    course.limit = min(max(wanted, limits.minimum), limits.maximum)
    return Move(course.state(), act, state.limit, cause, bounded=course.limit != wanted)


def hold(state: ThrottleState, seen: Observation, settings: Settings) -> ThrottleState:
    """A tick at which nothing may begin at all: what ends is counted, and nothing else."""
    course = Course.of(state)
    course.count(seen, settings)
    course.forget_signal()
    course.moved_at = course.tick
    return course.state()


def set_limit(state: ThrottleState, limit: float) -> ThrottleState:
    """The state after somebody set the limit by hand: the law goes on from there.

    A wall below it is forgotten, as that person may know better, and nothing rises at once.
    """
    wall = None if state.wall is not None and limit > state.wall else state.wall
    return state.model_copy(
        update={
            "limit": limit,
            "wall": wall,
            "draining": False,
            "moved_at": state.tick,
            "rose_from": None,
        }
    )


def _without_signal(course: Course, settings: Settings) -> Act:
    course.missing += 1
    course.moved_at = course.tick
    if settings.back_off and course.missing % BACK_OFF_TICKS == 0:
        course.limit *= BACK_OFF
        return Act.BACKED_OFF
    return Act.MISSING


def _trip(course: Course, log_ratio: float, settings: Settings, limits: Limits) -> Cause:
    """Cut, if the signal is too high; give why, nothing if it is not."""
    assert course.level is not None
    if course.tick - course.tripped_at < settings.wait:
        return ""
    severe = log_ratio > SEVERE + course.spread
    if not severe and course.excess <= TRIP + TRIP_NOISE * course.spread:
        return ""
    course.base = max(min(course.limit, course.ran), limits.minimum)
    course.before = course.limit
    at_wall = course.wall is not None and course.limit >= NEAR * course.wall
    own = course.tick - course.moved_at <= settings.wait + 2
    mild = not severe and course.level <= MILD + course.spread
    course.near_wall = at_wall and (own or mild)
    if own and course.rose_from is not None:
        course.abrupt = course.rose_from <= DEEP
    longer = min(2 * course.patience_s, LONGEST_S)
    course.patience_s = longer if course.near_wall else SHORTEST_S
    cause: Cause
    if severe:
        course.limit, cause = limits.minimum, "severe"
    elif course.near_wall:
        course.limit, cause = math.floor(WALL_CUT * course.base), "near_wall"
    else:
        course.limit, cause = math.floor(FIRST_CUT * course.base), "far_from_wall"
    course.draining, course.not_ours, course.fits_since = True, False, None
    course.tripped_at, course.quiet, course.fallen, course.cruise = course.tick, 0, 0, None
    return cause


def _drain(
    course: Course, seen: Observation, log_ratio: float, settings: Settings, limits: Limits
) -> tuple[Act, Cause]:
    """Wait until the signal is healthy; cut again only if it is not when the cut has shown."""
    assert course.level is not None
    edge = math.log(settings.set_point)
    if course.level <= edge and log_ratio <= edge:
        _recover(course)
        return Act.RECOVERED, ""
    if log_ratio > SEVERE + course.spread and course.limit > limits.minimum:
        course.limit = limits.minimum
        return Act.CUT_AGAIN, "severe"
    if seen.running > course.limit:
        course.fits_since = None
        return Act.DRAINING, "waiting"
    if course.fits_since is None:
        course.fits_since = course.tick
    if course.tick - course.fits_since < settings.wait:
        return Act.DRAINING, "waiting"
    if course.limit > limits.minimum:
        course.base, course.fits_since = course.limit, None
        course.limit = max(limits.minimum, math.floor(NEXT_CUT * course.limit))
        return Act.CUT_AGAIN, "unhealthy"
    if settings.queue and course.slope < -SHRINKING:
        return Act.DRAINING, "waiting"
    course.not_ours = True
    return Act.NOT_OURS, ""


def _recover(course: Course) -> None:
    healthy = min(max(course.ran, course.limit), course.base)
    if course.not_ours:
        course.limit = max(course.limit, course.before / 2)
    else:
        if course.near_wall and healthy >= UNHURT * course.base:
            course.limit = max(healthy, BELOW_WALL * course.base)
        else:
            course.limit = healthy + RECOVERED_SHARE * (course.base - healthy)
        course.wall = course.base
    course.draining, course.excess, course.quiet = False, 0.0, 0
    course.moved_at, course.rose_from = course.tick, None


def _cruise(course: Course, seen: Observation, settings: Settings) -> tuple[Act, Cause]:
    """Rise while there is room, up to the wall; beyond it only after patience."""
    assert course.level is not None
    course.quiet = course.quiet + 1 if course.excess == 0 else 0
    forgot = _more_room(course, course.level)
    rises = (
        course.excess == 0
        and course.level <= math.log(ROOM * settings.set_point)
        and seen.running >= math.floor(course.limit) - 1
        and course.tick - course.moved_at >= settings.wait
        and not (settings.queue and course.slope > GROWING)
    )
    if not rises:
        return (Act.FORGOT if forgot else Act.HELD), ""
    before = course.limit
    raised = max(before + 1, before * (1 + _step(course, settings)))
    act = Act.RAISED
    if course.wall is None:
        course.limit = raised
    elif course.limit < CRUISE * course.wall - 1e-9:
        course.limit = min(raised, CRUISE * course.wall)
    elif course.quiet * settings.period_s < _patience_s(course, settings):
        return Act.HELD, "near_wall"
    elif course.limit > course.wall:
        course.wall, course.patience_s, act = None, SHORTEST_S, Act.FORGOT
    else:
        course.limit, act = course.limit + 1, Act.PROBED
    course.moved_at = course.tick
    course.rose_from = course.level if course.limit <= LARGE_RISE * before else None
    return act, ""


def _step(course: Course, settings: Settings) -> float:
    """Share of the limit by which it rises."""
    step = min(max(STEP_S / course.job_s, STEP_LEAST), STEP_MOST)
    if not _deep(course):
        return step
    room = settings.set_point / math.exp(course.level or 0.0) - 1
    return max(step, (1 - _loop(course, settings)) * DEEP_RISE * room)


def _patience_s(course: Course, settings: Settings) -> float:
    """Less in a quick loop, where a mistake is short; next to none if the signal is far off."""
    loop = _loop(course, settings)
    return course.patience_s * (loop**3 if _deep(course) else loop)


def _deep(course: Course) -> bool:
    """Whether the level is deep, and that means something: an abrupt signal gives no warning."""
    return course.level is not None and course.level <= DEEP and not course.abrupt


def _loop(course: Course, settings: Settings) -> float:
    """How long the loop lasts, as a share of ``USUAL_LOOP_S``, at most 1."""
    loop_s = 2 * settings.wait * settings.period_s + course.job_s
    return min(1.0, loop_s / USUAL_LOOP_S)


def _more_room(course: Course, level: float) -> bool:
    """Whether the signal fell so far that the wall cannot be true any more; it is forgotten."""
    if course.cruise is None:
        course.cruise = level
    fell = course.cruise - level > max(FALLEN, FALLEN_NOISE * course.spread)
    course.fallen = course.fallen + 1 if fell and level < DEEP else 0
    forgot = course.fallen >= FALLEN_TICKS and course.wall is not None
    if course.fallen >= FALLEN_TICKS:
        course.wall, course.cruise, course.fallen = None, level, 0
    course.cruise += CRUISE_MEMORY * (level - course.cruise)
    return forgot
