"""When a crashed container starts again, on a clock of its own."""

import pytest

from lab_utils.controlplane.kubelet.backoff import Restarts, format_delay


def test_delays_double_from_ten_seconds_to_five_minutes() -> None:
    restarts, now, delays = Restarts(), 0.0, []
    for _ in range(8):
        restarts.started(now)
        now += 1
        delays.append(restarts.ended(now))
        now += delays[-1]
    assert delays == [0, 10, 20, 40, 80, 160, 300, 300]


def test_ten_quiet_minutes_are_a_new_beginning() -> None:
    restarts = Restarts()
    restarts.started(0)
    restarts.ended(1)
    restarts.started(1)
    assert restarts.ended(602) == 0
    restarts.started(602)
    assert restarts.ended(603) == 10


def test_restarts_by_a_liveness_probe_begin_without_back_off() -> None:
    restarts, now, delays = Restarts(), 0.0, []
    for _ in range(5):
        restarts.started(now)
        now += 30
        delays.append(restarts.ended(now, killed_by_probe=True))
        now += delays[-1]
    assert delays == [0, 0, 0, 0, 40]


@pytest.mark.parametrize(("delay_s", "text"), [(10, "10s"), (80, "1m20s"), (300, "5m0s")])
def test_delays_are_written_as_go_does(delay_s: float, text: str) -> None:
    assert format_delay(delay_s) == text
