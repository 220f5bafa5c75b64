"""What a run says of those who share it: who is new, and how long a policy lets wait."""

from dataclasses import replace

import numpy as np
import pytest

from lab_utils import analysis
from lab_utils.simulation import serve
from lab_utils.tables import make_table
from tests.tools.made_runs import simple_run

S = 0.04


def played(policy="round_robin", *, n=400, pods=4, seed=1, slower=1.0):
    """Make the run of ideal pods that a client takes in turn."""
    random = np.random.default_rng(seed)
    sent_s = np.cumsum(random.exponential(S / 0.8 / pods, n))
    services_s = random.exponential(S, n)
    rows = []
    for pod in range(pods):
        mine = slice(pod, None, pods)
        done_s = serve(sent_s[mine], slower * services_s[mine]).end_s
        rows += [
            {"scheduled_s": at_s, "sent_s": at_s, "done_s": end_s, "latency_s": end_s - at_s,
             "ok": True, "pod": f"p{pod}", "service_s": take_s}
            for at_s, end_s, take_s in zip(sent_s[mine], done_s, services_s[mine], strict=True)
        ]  # fmt: skip
    return simple_run(rows, settings={"balance": policy, "rate_rps": 0.8 * pods / S})


def test_ideal_pods_are_their_own_twins_and_lie_in_their_bands():
    [point] = analysis.policy_points([played()], pods=4).to_dict("records")
    assert point["policy"] == "round_robin"
    assert point["mean_s"] == pytest.approx(point["twin_s"])
    assert point["mean_low_s"] < point["mean_s"] < point["mean_high_s"]
    assert point["p99_low_s"] < point["p99_s"] < point["p99_high_s"]


def test_slower_pods_are_not_their_twins():
    [point] = analysis.policy_points([played(slower=1.3)], pods=4).to_dict("records")
    assert point["mean_s"] > 1.2 * point["twin_s"]


def test_a_run_without_answers_has_no_figures():
    run = simple_run([], settings={"balance": "random", "rate_rps": 80})
    points = analysis.policy_points([run], pods=4)
    assert points["requests"].tolist() == [0]
    assert points["mean_s"].isna().all()


def test_newcomers_are_the_pods_that_became_ready_within_the_run():
    rows = [
        {"t_s": t_s, "kind": "pod", "name": name, "role": role, "ready": ready}
        for t_s, name, role, ready in (
            (-0.1, "old", "primary", True),
            (2.0, "old", "primary", False),
            (2.5, "old", "primary", True),
            (1.0, "new", "backup", False),
            (3.0, "new", "backup", True),
            (1.0, "never", "backup", False),
        )
    ]
    run = replace(simple_run([]), states=make_table("states", rows))
    assert analysis.newcomers(run.states).to_numpy().tolist() == [["new", "backup", 3.0]]
    assert analysis.newcomers(simple_run([]).states).empty


def test_who_might_have_answered_has_a_share_of_nothing():
    rows = [{"ok": True, "pod": "a"}] * 3
    found = analysis.shares(simple_run(rows).requests, by="pod", among=["b"])
    assert found["share"].tolist() == [1.0, 0.0]
    assert found["expected"].tolist() == [0.5, 0.5]
