"""The arithmetic of a CPU limit, on a clock of its own."""

import random
import statistics

import pytest

from lab_utils.controlplane.kubelet.quota import PERIOD_NS, Quota

MS = 1_000_000


def serve(quota: Quota, works_ms: list[float], thinks_ms: list[float]) -> list[float]:
    """Give the latencies of requests that burn CPU one after the other under a quota."""
    now = used = 0
    latencies = []
    for work_ms, think_ms in zip(works_ms, thinks_ms, strict=True):
        now += int(think_ms * MS)
        quota.charge(now, used)
        began, left = now, int(work_ms * MS)
        while left > 0:
            step = max(quota.next_look_ns() - now, 1)
            ran = 0 if quota.throttled else min(step, left)
            now, used, left = now + (ran or step), used + ran, left - ran
            quota.charge(now, used)
        latencies.append((now - began) / MS)
    return latencies


@pytest.mark.parametrize(
    ("work_ms", "recorded_ms"),
    [(7.3, 8.3), (17.6, 102.3), (28.4, 210.9), (54.1, 463.1), (106.8, 989.5)],
)
def test_the_staircase_of_a_real_cluster(work_ms: float, recorded_ms: float) -> None:
    """Medians recorded on Kind at 100m, with the CPU time that a request cost there."""
    rng, n = random.Random(1), 400
    latencies = serve(Quota(0.1, 0), [work_ms] * n, [rng.uniform(0, 200) for _ in range(n)])
    assert statistics.median(latencies) == pytest.approx(recorded_ms, rel=0.15)


def test_the_share_is_exact_however_late_the_looks_come() -> None:
    quota, rng, now, used = Quota(0.2, 0), random.Random(2), 0, 0
    while now < 100 * PERIOD_NS:
        late = rng.randrange(5 * MS)
        step = max(quota.next_look_ns() - now, 0) + late
        used += 0 if quota.throttled else step
        now += step
        quota.charge(now, used)
    assert used / now == pytest.approx(0.2, rel=0.02)


def test_idle_periods_are_not_counted_and_nothing_is_saved_up() -> None:
    quota = Quota(0.1, 0)
    assert not quota.charge(50 * PERIOD_NS, 0)
    assert quota.charge(50 * PERIOD_NS + 10 * MS, 10 * MS)
    assert quota.stat.nr_periods == 0


def test_a_throttled_period_is_counted_with_its_time() -> None:
    quota = Quota(0.1, 0)
    quota.charge(10 * MS, 10 * MS)
    assert quota.throttled
    quota.charge(PERIOD_NS, 10 * MS)
    assert not quota.throttled
    counted = (quota.stat.nr_periods, quota.stat.nr_throttled, quota.stat.throttled_ns)
    assert counted == (1, 1, 90 * MS)


def test_many_cores_are_looked_at_sooner() -> None:
    quota = Quota(1.0, 0)
    quota.charge(10 * MS, 40 * MS)
    assert quota.next_look_ns() == 10 * MS + 60 * MS // 4
