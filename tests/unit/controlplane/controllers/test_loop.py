"""The loop itself: order, retries, timers, silence."""

import asyncio
import logging
import time
from datetime import datetime

import pytest

from lab_utils.controlplane.config import ClusterConfig
from lab_utils.controlplane.controllers.actions import Action, Create, Delete, Emit, Requeue, Update
from lab_utils.controlplane.controllers.controller import Controller, Reconcile
from lab_utils.controlplane.controllers.loop import Controllers
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.status import Object, conflict
from lab_utils.controlplane.store import Store

from .cluster import Cluster


async def run(reconcile: Reconcile, config: ClusterConfig, until: asyncio.Event) -> Registry:
    """Run one controller of ConfigMaps over one object until the event is set."""
    registry = Registry(Store())
    registry.create("Namespace", {"kind": "Namespace", "metadata": {"name": "lab"}})
    registry.create(
        "ConfigMap", {"kind": "ConfigMap", "metadata": {"name": "a", "namespace": "lab"}}
    )
    row = Controller("test", "ConfigMap", reconcile)
    controllers = Controllers(registry, config, "CA", controllers=[row])
    controllers.start()
    await asyncio.wait_for(until.wait(), 5)
    await controllers.stop()
    return registry


async def test_an_unexpected_error_is_told_once_and_tried_again(
    config: ClusterConfig, caplog: pytest.LogCaptureFixture
) -> None:
    done, calls = asyncio.Event(), []

    def reconcile(_obj: Object, _world: World, _now: datetime) -> list[Action]:
        calls.append(time.monotonic())
        if len(calls) < 4:
            raise ZeroDivisionError
        done.set()
        return []

    with caplog.at_level(logging.ERROR):
        await run(reconcile, config, done)
    assert len(caplog.records) == 1
    assert [calls[i + 1] - calls[i] >= 0.005 * 2**i for i in range(3)] == [True] * 3


async def test_a_refused_write_is_tried_again_quietly(
    config: ClusterConfig, caplog: pytest.LogCaptureFixture
) -> None:
    done, calls = asyncio.Event(), []

    def reconcile(_obj: Object, _world: World, _now: datetime) -> list[Action]:
        calls.append(1)
        if len(calls) == 1:
            raise conflict("", "configmaps", "a")
        done.set()
        return []

    with caplog.at_level(logging.WARNING):
        await run(reconcile, config, done)
    assert not caplog.records


async def test_a_requeue_is_a_timer(config: ClusterConfig) -> None:
    done, calls = asyncio.Event(), []

    def reconcile(_obj: Object, _world: World, _now: datetime) -> list[Action]:
        calls.append(time.monotonic())
        if len(calls) == 2:
            done.set()
        return [Requeue(60), Requeue(0.02)]

    await run(reconcile, config, done)
    assert calls[1] - calls[0] >= 0.02


async def test_two_writes_to_one_object_build_on_each_other(config: ClusterConfig) -> None:
    done = asyncio.Event()

    def reconcile(obj: Object, _world: World, _now: datetime) -> list[Action]:
        if "data" in obj:
            done.set()
            return []
        first = obj | {"data": {"x": "1"}}
        return [Update(first), Update(first | {"data": {"x": "2"}})]

    registry = await run(reconcile, config, done)
    assert registry.get("ConfigMap", "lab", "a")["data"] == {"x": "2"}


async def test_a_write_after_a_deletion_builds_on_it(config: ClusterConfig) -> None:
    done, calls = asyncio.Event(), []

    def reconcile(obj: Object, _world: World, _now: datetime) -> list[Action]:
        calls.append(obj)
        if "finalizers" not in obj["metadata"] and len(calls) == 1:
            return [Update(obj | {"metadata": obj["metadata"] | {"finalizers": ["lab/kept"]}})]
        done.set()
        metadata = {key: value for key, value in obj["metadata"].items() if key != "finalizers"}
        return [Delete(obj), Update(obj | {"metadata": metadata})]

    registry = await run(reconcile, config, done)
    assert registry.find("ConfigMap", "lab", "a") is None
    assert len(calls) == 2


async def test_a_refusal_is_known_to_the_next_reconcile(config: ClusterConfig) -> None:
    done, seen = asyncio.Event(), []

    def reconcile(obj: Object, world: World, _now: datetime) -> list[Action]:
        seen.append(world.refusal(obj))
        if len(seen) == 2:
            done.set()
            return []
        made = {"kind": "Secret", "metadata": {"name": "Bad_Name", "namespace": "lab"}}
        told = Emit(obj, "Normal", "SuccessfulCreate", "Created: {name}", "test")
        return [Create(made, told)]

    registry = await run(reconcile, config, done)
    assert seen[0] is None
    assert "Bad_Name" in str(seen[1])
    assert registry.list("Event", "lab")[0]["reason"] == "FailedCreate"


async def test_the_same_event_again_is_counted(cluster: Cluster) -> None:
    cluster.deploy()
    await cluster.until(lambda: cluster.ready_replicas() == 1)
    for replicas in (0, 1, 0, 1):
        cluster.edit("Deployment", "web", lambda obj, n=replicas: obj["spec"].update(replicas=n))
        await cluster.until(lambda n=replicas: cluster.ready_replicas() == n)
        await cluster.settle()
    told = {
        event["message"].rpartition(" from ")[2]: event["count"]
        for event in cluster.registry.list("Event", "lab")
        if event["reason"] == "ScalingReplicaSet"
    }
    assert told == {"0 to 1": 3, "1 to 0": 2}


async def test_an_idle_cluster_costs_nothing(cluster: Cluster) -> None:
    cluster.deploy(replicas=2)
    await cluster.until(lambda: cluster.ready_replicas() == 2)
    await cluster.settle()
    revision, before = cluster.registry.store.revision, time.process_time()
    await asyncio.sleep(0.3)
    assert cluster.registry.store.revision == revision
    assert time.process_time() - before < 0.03


async def test_a_change_is_answered_within_tens_of_milliseconds(cluster: Cluster) -> None:
    started = time.monotonic()
    cluster.deploy(replicas=2)
    await cluster.until(lambda: cluster.ready_replicas() == 2)
    assert time.monotonic() - started < 0.5
