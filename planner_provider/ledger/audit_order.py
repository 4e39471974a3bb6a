"""Which rows of a chain are not where they belong, when it is broken. Pure.

The order in which the rows were written is read from their hashes: each row goes on from the one
whose hash it carries. Rows that stand in that order, as many as possible, are where they belong;
the others were moved or put in between; and where the chain begins anew, something is missing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from planner_provider.ledger.audit import GENESIS

START = -1
"""Place of the beginning, before the first row."""


@dataclass(frozen=True, slots=True)
class Link:
    """Of a row only what chains it, so that long trails fit into memory."""

    seq: int
    prev: str
    ends: tuple[str, ...]
    """Hashes by which the next row may know it: its own, and the one that its content has."""

    @classmethod
    def of(cls, seq: int, prev: str, hash_: str, computed: str | None) -> Link:
        """The link of a row; ``computed`` is the hash that its content has, if it has one."""
        return cls(seq, prev, (hash_,) if computed in {None, hash_} else (hash_, str(computed)))


@dataclass(frozen=True, slots=True)
class Astray:
    """A row that is not where it belongs, or a gap."""

    kind: str
    """A ``FaultKind``: ``moved``, ``inserted``, ``removed`` or ``changed``."""
    seq: int
    text: str
    at: int
    """The row at which it shows."""

    def after_head(self, head: int) -> bool:
        """Whether it is about what stands behind the row that the planner wrote last."""
        return self.at > head


def find_astray(
    links: Sequence[Link], mended: frozenset[int], head: str | None
) -> tuple[Astray, ...]:
    """Name the rows that are not where they belong.

    :param mended: rows known to be changed; one that is chained to nothing counts as chained to
        the row before it.
    :param head: the hash of the row that was written last, to tell it from one that was added.
    """
    owners = _owners(links, mended)
    ranks = _ranks(links, owners, head)
    standing = _longest_rise([ranks.get(index, -1) for index in range(len(links))])
    found: list[Astray] = []
    before: Link | None = None
    for index, link in enumerate(links):
        owner = owners[index]
        if index in standing:
            if owner is None:
                found.append(_gap(link, before))
            before = link
        elif index not in ranks or owner is None:
            text = "It was put in between: what comes after it is chained to a row before it."
            found.append(Astray("inserted", link.seq, text, link.seq))
        else:
            place = f"after row {links[owner].seq}" if owner >= 0 else "at the beginning"
            text = f"By its hash it belongs {place}: rows changed their order."
            found.append(Astray("moved", link.seq, text, link.seq))
    return tuple(found)


def _owners(links: Sequence[Link], mended: frozenset[int]) -> list[int | None]:
    """For each row the place of the row that it is chained to."""
    place = {end: index for index, link in enumerate(links) for end in link.ends}
    place[GENESIS] = START
    owners: list[int | None] = []
    for index, link in enumerate(links):
        owner = place.get(link.prev)
        owners.append(index - 1 if owner is None and link.seq in mended else owner)
    return owners


def _ranks(links: Sequence[Link], owners: Sequence[int | None], head: str | None) -> dict[int, int]:
    """Place -> number in the order of writing. Rows on a branch that leads nowhere have none."""
    children: dict[int, list[int]] = {}
    roots = [START]
    for index, owner in enumerate(owners):
        if owner is None:
            roots.append(index)
        else:
            children.setdefault(owner, []).append(index)
    worth = _worth(roots, children, links, head)
    ranks: dict[int, int] = {}
    for root in roots:
        at: int | None = root
        while at is not None:
            ranks[at] = len(ranks)
            at = max(children.get(at, ()), key=lambda child: worth[child], default=None)
    del ranks[START]
    return ranks


def _worth(
    roots: Sequence[int], children: dict[int, list[int]], links: Sequence[Link], head: str | None
) -> dict[int, tuple[bool, int]]:
    """For each row whether the head comes after it, and how many rows do, on its best branch."""
    order = list(roots)
    for at in order:
        order.extend(children.get(at, ()))
    worth: dict[int, tuple[bool, int]] = {}
    for at in reversed(order):
        is_head = at >= 0 and head in links[at].ends
        leads, length = max((worth[child] for child in children.get(at, ())), default=(False, 0))
        worth[at] = (leads or is_head, length + 1)
    return worth


def _longest_rise(ranks: Sequence[int]) -> frozenset[int]:
    """The places of the longest run of rising ranks; negative ranks belong to none."""
    tails: list[int] = []
    places: list[int] = []
    before: dict[int, int | None] = {}
    for index, rank in enumerate(ranks):
        if rank < 0:
            continue
        at = bisect_left(tails, rank)
        before[index] = places[at - 1] if at else None
        tails[at : at + 1] = [rank]
        places[at : at + 1] = [index]
    rise: list[int] = []
    step = places[-1] if places else None
    while step is not None:
        rise.append(step)
        step = before[step]
    return frozenset(rise)


def _gap(link: Link, before: Link | None) -> Astray:
    start = before.seq if before else 0
    missing = link.seq - start - 1
    if missing:
        which = (
            f"row {start + 1} was removed"
            if missing == 1
            else f"rows {start + 1} to {link.seq - 1}, or some of them, were removed"
        )
        other = f" Or row {start} was changed and its hash computed anew." if before else ""
        text = f"Row {link.seq} is chained to a row that is not there: {which}.{other}"
        return Astray("removed", start + 1, text, link.seq)
    if before is None:
        text = "It is the first row, and is chained to a row before it that is not there."
        return Astray("removed", link.seq, text, link.seq)
    text = (
        f"Row {link.seq} is chained to another row than this one: it was changed and its hash "
        "computed anew, or rows after it were removed and the others numbered anew."
    )
    return Astray("changed", start, text, link.seq)
