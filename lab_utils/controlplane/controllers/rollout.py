"""One look at a Deployment and its ReplicaSets, and how many pods each may have.

Hides the arithmetic of surge and unavailability. Collects actions; decides nothing about when.
Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

from lab_utils.controlplane.controllers.actions import Action, Emit, Update
from lab_utils.controlplane.controllers.objects import annotations_of, scaled
from lab_utils.controlplane.status import Object

NAME = "deployment-controller"
_PREFIX = "deployment.kubernetes.io/"
DESIRED, MAXIMUM = f"{_PREFIX}desired-replicas", f"{_PREFIX}max-replicas"


def size(replica_set: Object) -> int:
    """Give the pods a ReplicaSet was asked for."""
    replicas: int = replica_set["spec"]["replicas"]
    return replicas


def counted(replica_set: Object, counter: str) -> int:
    """Give a counter of a ReplicaSet's status; what is not there is 0."""
    count: int = (replica_set.get("status") or {}).get(counter, 0)
    return count


def bounds(deployment: Object) -> tuple[int, int]:
    """Give maxSurge and maxUnavailable in pods.

    Surge rounds up, unavailability down; if both come to 0, one pod may be unavailable, or no
    rollout could ever move.
    """
    strategy, wanted = deployment["spec"]["strategy"], deployment["spec"]["replicas"]
    if strategy["type"] != "RollingUpdate":
        return 0, 0
    rolling = strategy["rollingUpdate"]
    surge = scaled(rolling["maxSurge"], wanted, round_up=True)
    unavailable = scaled(rolling["maxUnavailable"], wanted, round_up=False)
    if surge == unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, wanted)


def sizes(deployment: Object) -> dict[str, str]:
    """Give the annotations by which a later look knows that the Deployment was scaled since."""
    wanted = deployment["spec"]["replicas"]
    return {DESIRED: str(wanted), MAXIMUM: str(wanted + bounds(deployment)[0])}


@dataclass
class Rollout:
    """A Deployment, its new ReplicaSet and its old ones (oldest first), and what to do about them.

    The ReplicaSets are kept as they will be once the actions are carried out.
    """

    deployment: Object
    new: Object | None
    old: list[Object]
    actions: list[Action] = field(default_factory=list)

    @property
    def all(self) -> list[Object]:
        """Give every ReplicaSet."""
        return [*self.old, *([self.new] if self.new else [])]

    @property
    def active(self) -> list[Object]:
        """Give the ReplicaSets that were asked for pods."""
        return [replica_set for replica_set in self.all if size(replica_set)]

    @property
    def wanted(self) -> int:
        """Give the pods the Deployment was asked for."""
        return size(self.deployment)

    def replace(self, replica_set: Object) -> None:
        """Write a ReplicaSet and look at it so from now on."""
        name = replica_set["metadata"]["name"]
        if self.new and self.new["metadata"]["name"] == name:
            self.new = replica_set
        self.old = [replica_set if rs["metadata"]["name"] == name else rs for rs in self.old]
        self.actions.append(Update(replica_set))

    def scale(self, replica_set: Object, replicas: int) -> bool:
        """Ask a ReplicaSet for this many pods; tell whether that is a change."""
        before, noted = size(replica_set), sizes(self.deployment)
        if before == replicas and noted.items() <= annotations_of(replica_set).items():
            return False
        resized = copy.deepcopy(replica_set)
        resized["spec"]["replicas"] = replicas
        resized["metadata"].setdefault("annotations", {}).update(noted)
        self.replace(resized)
        if before != replicas:
            self.actions.append(scaling(self.deployment, resized, before))
        return before != replicas


def scaling(deployment: Object, replica_set: Object, before: int) -> Emit:
    """Make the Event of a scaling."""
    name, after = replica_set["metadata"]["name"], size(replica_set)
    way = "up" if after > before else "down"
    message = f"Scaled {way} replica set {name} from {before} to {after}"
    return Emit(deployment, "Normal", "ScalingReplicaSet", message, NAME)


def first_size(rollout: Rollout) -> int:
    """Give the pods the new ReplicaSet may have now without exceeding replicas + maxSurge."""
    if rollout.deployment["spec"]["strategy"]["type"] == "Recreate":
        return rollout.wanted
    present = size(rollout.new) if rollout.new else 0
    room = rollout.wanted + bounds(rollout.deployment)[0] - sum(map(size, rollout.all))
    return min(rollout.wanted, present + max(0, room))


def grow_new(rollout: Rollout) -> bool:
    """Move the new ReplicaSet towards the wanted size; tell whether it moved."""
    return rollout.new is not None and rollout.scale(rollout.new, first_size(rollout))


def shrink_old(rollout: Rollout) -> bool:
    """Take pods from the old ReplicaSets as far as availability allows; tell whether any went.

    Pods that are not available go first: they serve nobody, and would block the rollout for ever.
    """
    if rollout.new is None or not sum(map(size, rollout.old)):
        return False
    floor = rollout.wanted - bounds(rollout.deployment)[1]
    starting = _broken(rollout.new)
    spare = sum(map(size, rollout.all)) - floor - starting
    if spare <= 0:
        return False
    moved = _shrink(rollout, spare, _broken)
    healthy = sum(counted(rs, "availableReplicas") for rs in rollout.all)
    return _shrink(rollout, healthy - floor, size) or moved


def _broken(replica_set: Object) -> int:
    return size(replica_set) - counted(replica_set, "availableReplicas")


def _shrink(rollout: Rollout, spare: int, expendable: Callable[[Object], int]) -> bool:
    moved = False
    for replica_set in list(rollout.old):
        going = max(0, min(spare, expendable(replica_set)))
        spare -= going
        moved |= going > 0 and rollout.scale(replica_set, size(replica_set) - going)
    return moved


def follow(rollout: Rollout) -> None:
    """Follow a change of `replicas` while paused: the newest ReplicaSets with pods take it."""
    active = rollout.active or rollout.all[-1:]
    if not active:
        return
    known = annotations_of(active[-1]).get(DESIRED, sum(map(size, active)))
    change = rollout.wanted - int(known)
    for replica_set in reversed(active):
        target = max(0, size(replica_set) + change)
        change -= target - size(replica_set)
        rollout.scale(replica_set, target)
