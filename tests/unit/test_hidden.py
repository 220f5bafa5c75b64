"""A hidden fault: the same for everybody, and silent about what it is."""

import pytest

from lab_utils.chaos import Fault
from lab_utils.errors import InvalidInput
from lab_utils.hidden import SUSPECTS, Mystery


class Injected:
    """Stands for the faults of a cluster: notes which one was asked for."""

    def __init__(self):
        self.asked, self.undone = [], 0

    def __getattr__(self, name):
        def make(role, **how):
            self.asked.append((name, role))
            return Fault(name, role, 0.0, None, lambda: self._undo)

        return make

    def _undo(self):
        self.undone += 1


def test_the_same_case_is_the_same_fault_and_every_suspect_is_somebody_s_case():
    solutions = [Mystery(Injected(), case, 1, 10).reveal() for case in range(200)]
    assert solutions == [Mystery(Injected(), case, 1, 10).reveal() for case in range(200)]
    assert set(solutions) == set(SUSPECTS)


@pytest.mark.parametrize("case", range(40))
def test_what_is_injected_is_what_is_revealed_and_it_is_undone(case):
    faults = Injected()
    mystery = Mystery(faults, case, 1, 10)
    with mystery:
        ((name, role),) = faults.asked
    told = {"kill": "killed", "hang": "hanging", "fail": "failing", "not_ready": "not ready",
            "leak": "leaking", "slow": "slow"}  # fmt: skip
    assert mystery.reveal() == f"{role} {told[name]}"
    assert faults.undone == 1


@pytest.mark.parametrize("case", range(12))
def test_it_does_not_show_what_it_is(case):
    mystery = Mystery(Injected(), case, 1, 10)
    shown = f"{mystery!r} {mystery} {mystery.name} {mystery.target} {vars(mystery)}"
    assert not any(word in shown for suspect in SUSPECTS for word in suspect.split()[1:])
    assert "primary" not in shown
    assert "backup" not in shown


@pytest.mark.parametrize("wrong", [{"case": "slow"}, {"at_s": -1}, {"duration_s": 0}], ids=str)
def test_a_case_that_cannot_be_used_is_refused(wrong):
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        Mystery(Injected(), **{"case": 1, "at_s": 1, "duration_s": 10} | wrong)
