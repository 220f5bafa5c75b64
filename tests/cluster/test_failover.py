"""A failover that a sceptic believes: who is asked, who answers, and what is lost."""

import threading
import time

import pandas as pd
import pytest

from lab_utils import theory
from lab_utils.analysis import select_judged
from lab_utils.errors import InvalidInput
from lab_utils.lease import Candidate, Pace
from lab_utils.runs import Run
from lab_utils.waiting import wait_for

pytestmark = pytest.mark.machines

RATE_RPS, KILL_AT_S, DURATION_S, SERVICE_S = 20.0, 2.0, 5.0, 0.1


def fire(lab, **options):
    kill = lab.faults.kill("primary", at_s=KILL_AT_S)
    return lab.fire(rate_rps=RATE_RPS, duration_s=DURATION_S, faults=[kill], **options)


def lost(run):
    judged = select_judged(run.requests)
    return judged[~judged["ok"]]


def test_behind_one_service_the_backup_takes_over(deployed):
    run = fire(deployed)
    window_s = theory.kill_window_s().high
    assert len(lost(run)) <= theory.lost_requests(RATE_RPS, 0.5, window_s + SERVICE_S).high
    began_s = KILL_AT_S - 2 * SERVICE_S
    assert (lost(run)["scheduled_s"] >= began_s).all(), (
        "before the fault only those in service fail"
    )
    after = run.requests.query("@KILL_AT_S + @window_s < scheduled_s < 6 and ok")
    assert set(after["role"]) == {"backup"}
    gone = run.states.query("kind == 'endpoint' and role == 'primary' and not ready")
    assert KILL_AT_S < gone["t_s"].min() < DURATION_S, "the endpoint leaves after the fault"
    assert set(run.gaps["source"].str.split().str[0]) <= {"usage"}, "the API server was never away"


def test_what_is_kept_of_a_run_is_what_was_measured(deployed):
    run = deployed.fire(rate_rps=10, duration_s=2)
    kept = Run.load(deployed.history()["folder"][0])
    pd.testing.assert_frame_equal(kept.requests, run.requests)
    assert not kept.interrupted


def test_a_client_that_chooses_spreads_its_requests_over_the_pods(deployed):
    run = deployed.fire(rate_rps=20, duration_s=2, balance="round_robin", keep_alive=True)
    assert run.requests["ok"].all()
    assert abs(run.requests["role"].value_counts().diff().iloc[-1]) <= 1
    pods = {pod["status"]["podIP"] for pod in deployed.pods()}
    assert {endpoint.partition(":")[0] for endpoint in run.attempts["endpoint"]} == pods


def test_a_client_chooses_among_services_where_it_cannot_reach_pods(deployed):
    services = ["inference-primary", "inference-backup"]
    run = deployed.fire(rate_rps=20, duration_s=2, service=services, balance="round_robin")
    assert abs(run.requests["role"].value_counts().diff().iloc[-1]) <= 1
    assert {f"http://{one}" for one in run.attempts["endpoint"]} == set(map(deployed.url, services))


def test_a_client_that_knows_both_loses_nothing(deployed):
    run = fire(deployed, service="inference-primary", failover=["inference-backup"])
    assert lost(run).empty
    again = run.requests.query("attempts > 1")
    assert len(again)
    assert set(again["role"]) == {"backup"}
    assert len(run.attempts) == len(run.requests) + len(again)


def test_a_selector_switch_turns_over_and_gives_the_service_back(deployed):
    with deployed.selector_switch("inference-primary") as switch:
        run = fire(deployed, service="inference-primary")
        assert switch.switched
    window_s = theory.selector_switch_s(theory.kill_window_s()).high
    assert run.outages["duration_s"].sum() <= window_s + SERVICE_S
    service = deployed.cluster.api.read("service", "lab", "inference-primary")
    assert service["spec"]["selector"] == {"app": "inference", "role": "primary"}


def test_a_cold_backup_is_started_only_when_the_primary_fails(deployed):
    with deployed.selector_switch(cold=True):
        run = deployed.fire(
            service="inference-primary",
            rate_rps=RATE_RPS,
            duration_s=12,
            faults=[deployed.faults.kill("primary", at_s=KILL_AT_S)],
        )
    assert run.outages["duration_s"].sum() > theory.startup_s(0.25, 0.1)
    ready = run.states.query("kind == 'pod' and role == 'backup' and ready and t_s > 0")
    assert len(ready), "the backup came up after the fault"
    deployed.wait()


def test_an_elected_backup_takes_over_when_the_lease_has_run_out(deployed):
    with deployed.election() as election:
        run = deployed.fire(
            service="inference-primary",
            rate_rps=RATE_RPS,
            duration_s=9,
            faults=[deployed.faults.kill("primary", at_s=KILL_AT_S)],
        )
        assert election.leaders == ["primary", "backup"]
        lease = deployed.cluster.api.read("lease", "lab", "inference-leader")["spec"]
        assert lease["holderIdentity"].startswith("backup-")
        assert lease["leaseTransitions"] == 1
    band = theory.selector_switch_s(theory.lease_takeover_s(3, 0.5, level=0.999))
    assert band.low - 5 / RATE_RPS <= run.outages["duration_s"].sum() <= band.high + SERVICE_S
    service = deployed.cluster.api.read("service", "lab", "inference-primary")
    assert service["spec"]["selector"] == {"app": "inference", "role": "primary"}


def test_a_live_leader_stays_for_much_longer_than_its_lease(deployed):
    with deployed.election() as election:
        run = deployed.fire(service="inference-primary", rate_rps=5, duration_s=7)
    assert election.leaders == ["primary"]
    assert set(run.requests["role"]) == {"primary"}
    assert "inference-leader" not in deployed.get("leases").get("Name", []), "it takes it along"


def test_a_leader_that_has_resigned_waits_for_the_lease_like_everybody_else(deployed):
    pace, server, won_s = Pace(lease_s=3.0, renew_s=0.5, retry_s=0.1), threading.Event(), []
    leader = Candidate(
        deployed.cluster,
        "resigned",
        "one",
        pace=pace,
        is_alive=server.is_set,
        lead=lambda: won_s.append(time.monotonic()),
    )

    def holds(condition) -> None:
        wait_for(lambda: condition() or None, timeout_s=10, late=AssertionError)

    server.set()
    with leader:
        holds(lambda: won_s)
        server.clear()
        holds(lambda: not leader.leads)
        back_s = time.monotonic()
        server.set()
        holds(lambda: len(won_s) > 1)
    deployed.cluster.delete("lease", "resigned")
    assert won_s[1] - back_s >= pace.lease_s


@pytest.mark.parametrize("style", ["selector_switch", "election"])
def test_a_take_over_needs_a_service_with_a_role(deployed, style):
    with (
        pytest.raises(InvalidInput, match="selects no role"),
        getattr(deployed, style)("inference"),
    ):
        pass


def test_usage_is_sampled_each_second_for_both_roles(deployed):
    usage = deployed.fire(rate_rps=10, duration_s=5).usage
    assert set(usage["role"]) == {"primary", "backup"}
    for _, samples in usage.groupby("role"):
        assert len(samples) >= 5
        assert samples["cpu_cores"].dropna().between(0, 0.11).all()
        assert samples["memory_bytes"].between(20 * 2**20, 64 * 2**20).all()
