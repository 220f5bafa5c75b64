"""Autoscaling from measured use to more pods and back, through the real store and rules."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab_utils.controlplane.config import ClusterConfig
from lab_utils.controlplane.controllers.hpalimits import Behavior, History
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import go_duration, rfc3339, utc_now

from .cluster import Cluster, make_cluster


@pytest.fixture
async def hasty(config: ClusterConfig) -> AsyncIterator[tuple[Cluster, dict[str, str]]]:
    """Give a cluster that looks often and forgets soon, and the CPU use of each pod of it."""
    pace = {"hpa_sync_period_s": 0.1, "hpa_downscale_stabilization_s": 0.3}
    pace |= {"hpa_cpu_initialization_s": 0.0}
    use = {"cpu": "20m"}

    def measured(_namespace: str, _pod: str) -> Object:
        parts = [{"name": "c", "usage": use | {"memory": "1Mi"}}]
        return {"timestamp": rfc3339(utc_now()), "window": go_duration(15), "containers": parts}

    cluster = make_cluster(replace(config, **pace), measured=measured)
    cluster.controllers.start()
    await cluster.settle()
    container = {"name": "c", "image": "web:1", "resources": {"requests": {"cpu": "100m"}}}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    cluster.deploy(template=template)
    await cluster.until(lambda: cluster.ready_replicas() == 1)
    yield cluster, use
    await cluster.controllers.stop()


def autoscale(cluster: Cluster, **spec: Any) -> None:
    """Ask for 50 % CPU on Deployment web."""
    target = {"type": "Utilization", "averageUtilization": 50}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    wanted = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    body = {"scaleTargetRef": wanted, "maxReplicas": 5, "metrics": [metric]}
    cluster.apply("HorizontalPodAutoscaler", "web", body | spec)


async def test_more_use_makes_more_pods_and_less_makes_fewer(
    hasty: tuple[Cluster, dict[str, str]],
) -> None:
    cluster, use = hasty
    autoscale(cluster)
    use["cpu"] = "150m"
    await cluster.until(lambda: cluster.ready_replicas() == 5)
    use["cpu"] = "20m"
    await cluster.until(lambda: cluster.ready_replicas() == 2)
    told = " ".join(cluster.events())
    above = "cpu resource utilization (percentage of request) above target"
    assert f"SuccessfulRescale: New size: 3; reason: {above}" in told
    assert "reason: All metrics below target" in told


async def test_pods_that_only_wait_are_left_alone(hasty: tuple[Cluster, dict[str, str]]) -> None:
    cluster, use = hasty
    use["cpu"] = "50m"
    autoscale(cluster)
    await cluster.until(lambda: "currentReplicas" in autoscaler(cluster))
    await cluster.settle()
    assert autoscaler(cluster)["desiredReplicas"] == 1
    conditions = {one["type"]: one["reason"] for one in autoscaler(cluster)["conditions"]}
    assert conditions == {
        "AbleToScale": "ReadyForNewScale",
        "ScalingActive": "ValidMetricFound",
        "ScalingLimited": "DesiredWithinRange",
    }


async def test_an_autoscaler_without_a_target_says_so(
    hasty: tuple[Cluster, dict[str, str]],
) -> None:
    cluster, _ = hasty
    gone = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gone"}
    autoscale(cluster, scaleTargetRef=gone)
    told = 'FailedGetScale: deployments.apps "gone" not found'
    await cluster.until(lambda: told in cluster.events())


def autoscaler(cluster: Cluster) -> Object:
    return cluster.status("HorizontalPodAutoscaler")


@given(
    current=st.integers(1, 50),
    wanted=st.integers(0, 100),
    least=st.integers(1, 10),
    more=st.integers(0, 30),
    steps=st.lists(st.integers(-5, 5), max_size=4),
)
def test_a_limited_size_is_in_range_or_on_its_way_there(
    current: int, wanted: int, least: int, more: int, steps: list[int]
) -> None:
    now = utc_now()
    history = History(changes=tuple((now, step) for step in steps))
    policies = [{"type": "Pods", "value": 4, "periodSeconds": 15}]
    policies.append({"type": "Percent", "value": 100, "periodSeconds": 15})
    rules = {"selectPolicy": "Max", "policies": policies}
    spec = {"minReplicas": least, "maxReplicas": least + more}
    for behavior in ({}, {"behavior": {"scaleUp": rules, "scaleDown": rules}}):
        size = Behavior(spec | behavior, 300).limit(current, wanted, history, now).replicas
        assert min(current, wanted, least + more) <= size <= max(current, wanted, least)
