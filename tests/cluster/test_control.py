"""The control port, through the API server: the same on every cluster."""

import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab_utils.conditions import is_ready
from lab_utils.errors import InvalidInput, NotReady
from lab_utils.waiting import wait_for


@pytest.fixture(scope="module")
def controlled(lab):
    lab.ensure("control")
    yield lab
    lab.ensure()


def primary(lab):
    return lab.pods("role=primary")[0]


def soon(condition, what):
    wait_for(lambda: condition() or None, timeout_s=30, late=lambda: AssertionError(what))


def test_a_worker_s_clock_is_changed_while_it_runs(controlled):
    changed = controlled.configure("primary", service_ms=30)
    assert list(changed.values()) == [{"service_ms": {"from": 100.0, "to": 30.0}}]
    answer = controlled.infer("inference-primary")
    assert answer["parameters"]["service_s"] == pytest.approx(0.03)
    controlled.configure("primary", service_ms=100)


@pytest.mark.parametrize("settings", [{"slotz": 1}, {"slots": -1}, {"port": 3}], ids=str)
def test_a_setting_the_worker_refuses_changes_nothing(controlled, settings):
    with pytest.raises(InvalidInput, match=next(iter(settings))):
        controlled.configure("primary", service_ms=30, **settings)
    assert controlled.configure("primary", service_ms=100) == {
        primary(controlled)["metadata"]["name"]: {}
    }


def test_a_role_nobody_plays_says_what_to_do(controlled):
    with pytest.raises(NotReady, match=r"no pod with role=third .*lab\.ensure"):
        controlled.configure("third", slots=2)


def test_not_ready_takes_the_pod_out_and_its_end_brings_it_back(controlled):
    with controlled.faults.not_ready("primary"):
        soon(lambda: not is_ready(primary(controlled)), "the primary stays Ready")
    soon(lambda: is_ready(primary(controlled)), "the primary does not come back")
    controlled.wait()  # Ready is not yet reachable: the proxy learns of it up to a second later


def test_slow_stretches_the_service_time_while_it_lasts(controlled):
    with controlled.faults.slow("primary", factor=3):
        slow = controlled.infer("inference-primary")["parameters"]["service_s"]
    after = controlled.infer("inference-primary")["parameters"]["service_s"]
    assert (slow, after) == (pytest.approx(0.3), pytest.approx(0.1))


def test_each_pod_says_what_its_start_took_under_its_limit(controlled):
    starts = controlled.starts()
    assert set(starts["role"]) == {"primary", "backup"}
    assert (starts["limit_cores"] == 0.1).all()
    assert (starts["startup_s"] > starts["cpu_s"]).all()
    assert starts["cpu_s"].between(0.1, 2).all()


def test_a_stall_holds_requests_and_not_probes(controlled):
    url = controlled.url("inference-primary", "/v2/health/ready")
    with ThreadPoolExecutor(1) as pool:
        with controlled.faults.stall("primary"):
            waiting = pool.submit(controlled.infer, "inference-primary")
            with pytest.raises(TimeoutError):
                waiting.result(0.5)
            with urllib.request.urlopen(url, timeout=5) as probed:
                assert probed.status == 200
        assert waiting.result()["parameters"]["role"] == "primary"


def test_a_drained_node_is_empty_until_it_is_given_back(controlled):
    node = primary(controlled)["spec"]["nodeName"]

    def homes():
        return [pod["spec"].get("nodeName") for pod in controlled.pods("role=primary")]

    with controlled.faults.drain("primary"):
        soon(lambda: node not in homes(), "the primary was not evicted")
    cordoned = [n for n in controlled.cluster.nodes() if n["spec"].get("unschedulable")]
    assert cordoned == []


def test_a_worker_without_a_control_port_says_how_to_get_one(lab):
    lab.ensure()
    with pytest.raises(NotReady, match=r"no control port open.*lab\.ensure\('control'\)"):
        lab.configure("primary", slots=2)
