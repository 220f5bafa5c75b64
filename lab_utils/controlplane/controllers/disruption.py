"""PodDisruptionBudget: how many of its pods may go right now.

Hides how percentages find the size they are a share of. Never evicts: the eviction API asks,
and deletes in the same step what it was granted, so no eviction is ever under way here.
Source: https://kubernetes.io/docs/tasks/run-application/configure-pdb/
"""

from datetime import datetime

from lab_utils.controlplane.controllers.actions import Action, Emit, write_status
from lab_utils.controlplane.controllers.controller import Controller, selectors_of
from lab_utils.controlplane.controllers.objects import (
    controller_of,
    is_ready,
    is_terminating,
    scaled,
    set_condition,
    stamped,
)
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object

NAME = "disruption-controller"


def reconcile(budget: Object, world: World, now: datetime) -> list[Action]:
    """Count, and write down what is allowed."""
    pods = world.select("Pod", budget["metadata"]["namespace"], budget["spec"].get("selector"))
    expected, desired = _expected(budget, pods, world)
    healthy = sum(is_ready(pod) and not is_terminating(pod) for pod in pods)
    status: Object = {
        "observedGeneration": budget["metadata"]["generation"],
        "disruptionsAllowed": max(0, healthy - desired) if expected > 0 else 0,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
    }
    new = set_condition(budget, _condition(budget, status, now))
    status["conditions"] = new["status"]["conditions"]
    actions = write_status(budget, status)
    if actions and not pods:
        actions.append(Emit(budget, "Normal", "NoPods", "No matching pods found", NAME))
    return actions


def _expected(budget: Object, pods: list[Object], world: World) -> tuple[int, int]:
    """Give expectedPods and desiredHealthy."""
    spec = budget["spec"]
    if "maxUnavailable" in spec:
        expected = _asked_for(pods, world)
        return expected, max(0, expected - scaled(spec["maxUnavailable"], expected, round_up=True))
    floor = spec.get("minAvailable", 1)
    if isinstance(floor, int):
        return len(pods), floor
    expected = _asked_for(pods, world)
    return expected, scaled(floor, expected, round_up=True)


def _asked_for(pods: list[Object], world: World) -> int:
    """Sum the sizes of the workloads that the pods belong to; a share needs a whole."""
    sizes: dict[str, int] = {}
    for pod in pods:
        owner = _top_owner(pod, world)
        if owner is not None and "replicas" in owner["spec"]:
            sizes[owner["metadata"]["uid"]] = owner["spec"]["replicas"]
    return sum(sizes.values())


def _top_owner(obj: Object, world: World) -> Object | None:
    owner = None
    while (reference := controller_of(obj)) is not None:
        found = world.owner(reference["uid"])
        if found is None:
            break
        owner = obj = found
    return owner


def _condition(budget: Object, status: Object, now: datetime) -> Object:
    allowed = status["disruptionsAllowed"] > 0
    told = {
        "type": "DisruptionAllowed",
        "status": str(allowed),
        "observedGeneration": status["observedGeneration"],
        "reason": "SufficientPods" if allowed else "InsufficientPods",
        "message": "",
    }
    return stamped(budget, told, now)


CONTROLLER = Controller(
    NAME,
    "PodDisruptionBudget",
    reconcile,
    {"Pod": selectors_of("PodDisruptionBudget", lambda budget: budget["spec"].get("selector"))},
)
