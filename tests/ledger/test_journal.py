from __future__ import annotations

import pytest

from planner_provider.ledger.journal import Journal, StepStatus
from planner_provider.ledger.rows import Act, ActResult, ActRole
from tests.ledger.cases import act

DONE, FAILED, UNKNOWN = ActResult.DONE, ActResult.FAILED, ActResult.UNKNOWN
UNDO = ActRole.UNDO


@pytest.mark.parametrize(
    ("acts", "status", "must_be_undone"),
    [
        ([], StepStatus.UNTOUCHED, False),
        ([act(1, result=None)], StepStatus.ACTING, True),
        ([act(1, result=DONE)], StepStatus.DONE, True),
        ([act(1, result=FAILED)], StepStatus.FAILED, True),
        ([act(1, result=UNKNOWN)], StepStatus.UNKNOWN, True),
        ([act(1, result=FAILED), act(2, result=DONE)], StepStatus.DONE, True),
        ([act(1), act(2, role=UNDO, result=None)], StepStatus.UNDOING, True),
        ([act(1), act(2, role=UNDO, result=DONE)], StepStatus.UNDONE, False),
        ([act(1), act(2, role=UNDO, result=FAILED)], StepStatus.UNDO_FAILED, True),
        ([act(1), act(2, role=UNDO, result=UNKNOWN)], StepStatus.UNDO_FAILED, True),
        (
            [act(1), act(2, role=UNDO, result=FAILED), act(3, role=UNDO)],
            StepStatus.UNDONE,
            False,
        ),
        ([act(1, map_index=0), act(2, map_index=1, result=FAILED)], StepStatus.FAILED, True),
        ([act(1, map_index=0), act(2, map_index=1), act(3, role=UNDO)], StepStatus.UNDONE, False),
        (
            [act(1, map_index=0), act(2, map_index=1), act(3, role=UNDO, map_index=1)],
            StepStatus.PARTLY_UNDONE,
            True,
        ),
    ],
)
def test_the_acts_of_a_step_say_where_it_stands(
    acts: list[Act], status: StepStatus, must_be_undone: bool
) -> None:
    state = Journal(acts)["s1"]
    assert state.status is status
    assert state.must_be_undone is must_be_undone


def test_a_mapped_part_has_a_state_of_its_own() -> None:
    acts = [act(1, map_index=0), act(2, map_index=1), act(3, role=UNDO, map_index=1)]
    assert Journal(acts).of("s1", 0).status is StepStatus.DONE
    assert Journal(acts).of("s1", 1).status is StepStatus.UNDONE


class TestParts:
    """A step that is done in parts: ``shift/deploy``, ``shift/w25``."""

    DEPLOYED = (act(1, step="shift/deploy"), act(2, step="shift/w25"))

    def test_each_part_has_a_state_of_its_own(self) -> None:
        journal = Journal([*self.DEPLOYED[:1], act(2, step="shift/w25", result=FAILED)])
        assert journal["shift/deploy"].status is StepStatus.DONE
        assert journal["shift/w25"].status is StepStatus.FAILED
        assert journal["shift/promote"].status is StepStatus.UNTOUCHED

    def test_the_whole_is_what_matters_most_of_its_parts(self) -> None:
        journal = Journal([*self.DEPLOYED, act(3, step="shift/promote", result=UNKNOWN)])
        assert journal["shift"].status is StepStatus.UNKNOWN
        assert journal.of("shift", -1).status is StepStatus.UNKNOWN
        assert Journal(self.DEPLOYED).of("shift", -1).must_be_undone
        assert Journal(()).of("shift", -1).status is StepStatus.UNTOUCHED

    def test_undoing_the_whole_undoes_every_part(self) -> None:
        journal = Journal([*self.DEPLOYED, act(3, step="shift", role=UNDO)])
        for name in ("shift", "shift/deploy", "shift/w25"):
            assert journal[name].status is StepStatus.UNDONE
            assert journal.of(name, -1).status is StepStatus.UNDONE

    def test_another_step_whose_name_begins_alike_is_another_step(self) -> None:
        journal = Journal([*self.DEPLOYED, act(3, step="shift-2"), act(4, step="shift", role=UNDO)])
        assert journal["shift-2"].status is StepStatus.DONE
        assert journal["shift"].status is StepStatus.UNDONE


def test_the_order_is_that_of_the_ids() -> None:
    assert Journal([act(2), act(1, result=FAILED)])["s1"].status is StepStatus.DONE


class TestChecked:
    def check(self, id_: int, result: ActResult | None = DONE) -> Act:
        return act(id_, step="verify", role=ActRole.CHECK, result=result)

    def test_a_check_counts_if_it_came_last(self) -> None:
        assert Journal([act(1), self.check(2)]).checked("verify")
        assert not Journal([self.check(1), act(2)]).checked("verify")
        assert not Journal([act(1), self.check(2), act(3, role=UNDO)]).checked("verify")

    def test_only_a_last_one_that_passed_counts(self) -> None:
        assert not Journal([]).checked("verify")
        assert not Journal([self.check(1), self.check(2, FAILED)]).checked("verify")
        assert not Journal([self.check(1, None)]).checked("verify")
        assert Journal([self.check(1, FAILED), self.check(2)]).checked("verify")

    def test_another_check_does_not_count(self) -> None:
        assert not Journal([self.check(1)]).checked("verify_rollback")


def test_what_undoes_a_mapped_step_as_a_whole_sees_all_of_its_parts() -> None:
    journal = Journal([act(1, map_index=0), act(2, map_index=1, result=FAILED)])
    step = journal.acts[0].step
    assert journal.of(step, -1).status is StepStatus.FAILED
    assert journal.of(step, 0).status is StepStatus.DONE
