"""One look at a Deployment and its ReplicaSets, and how many pods each may have.

Hides the arithmetic of surge and unavailability. Collects actions; decides nothing about when.
Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment
"""

import copy
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
        self.actions.append(Update("ReplicaSet", replica_set))

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
            self.tell_scaled(resized, before)
        return before != replicas

    def tell_scaled(self, replica_set: Object, before: int) -> None:
        """Record the event of a scaling."""
        name, after = replica_set["metadata"]["name"], size(replica_set)
        way = "up" if after > before else "down"
        message = f"Scaled {way} replica set {name} from {before} to {after}"
        self.actions.append(Emit(self.deployment, "Normal", "ScalingReplicaSet", message, NAME))


def first_size(rollout: Rollout) -> int:
    """Give the pods the new ReplicaSet may have now without exceeding replicas + maxSurge."""
    present = size(rollout.new) if rollout.new else 0
    if rollout.deployment["spec"]["strategy"]["type"] == "Recreate":
        return rollout.wanted
    room = rollout.wanted + bounds(rollout.deployment)[0] - sum(map(size, rollout.all))
    return present if room <= 0 else present + min(room, rollout.wanted - present)


def grow_new(rollout: Rollout) -> bool:
    """Move the new ReplicaSet towards the wanted size; tell whether it moved."""
    new = rollout.new
    if new is None or size(new) == rollout.wanted:
        return False
    return rollout.scale(new, min(rollout.wanted, first_size(rollout)))


def shrink_old(rollout: Rollout) -> bool:
    """Take pods from the old ReplicaSets as far as availability allows; tell whether any went.

    Pods that are not available go first: they serve nobody, and would block the rollout for ever.
    """
    if rollout.new is None or not sum(map(size, rollout.old)):
        return False
    floor = rollout.wanted - bounds(rollout.deployment)[1]
    starting = size(rollout.new) - counted(rollout.new, "availableReplicas")
    spare = sum(map(size, rollout.all)) - floor - starting
    if spare <= 0:
        return False
    moved = False
    for replica_set in list(rollout.old):
        broken = size(replica_set) - counted(replica_set, "availableReplicas")
        going = max(0, min(spare, broken))
        spare -= going
        moved |= going > 0 and rollout.scale(replica_set, size(replica_set) - going)
    return _shrink_healthy(rollout, floor) or moved


def _shrink_healthy(rollout: Rollout, floor: int) -> bool:
    spare = sum(counted(rs, "availableReplicas") for rs in rollout.all) - floor
    moved = False
    for replica_set in list(rollout.old):
        going = max(0, min(spare, size(replica_set)))
        spare -= going
        moved |= going > 0 and rollout.scale(replica_set, size(replica_set) - going)
    return moved


def resize(rollout: Rollout) -> None:
    """Follow a change of `replicas` outside of a rollout, or share it out in the middle of one."""
    active = rollout.active
    if len(active) <= 1:
        latest = active or [rollout.new or rollout.old[-1]] if rollout.all else []
        for replica_set in latest:
            rollout.scale(replica_set, rollout.wanted)
    elif _is_saturated(rollout):
        for replica_set in [rs for rs in rollout.old if size(rs)]:
            rollout.scale(replica_set, 0)
    elif rollout.deployment["spec"]["strategy"]["type"] == "RollingUpdate":
        _share_out(rollout)


def _is_saturated(rollout: Rollout) -> bool:
    new, wanted = rollout.new, rollout.wanted
    return (
        new is not None
        and size(new) == wanted == counted(new, "availableReplicas")
        and annotations_of(new).get(DESIRED) == str(wanted)
    )


def _share_out(rollout: Rollout) -> None:
    """Scale all active ReplicaSets in proportion; what rounding leaves goes to the largest."""
    allowed = rollout.wanted + bounds(rollout.deployment)[0] if rollout.wanted else 0
    to_add = allowed - sum(map(size, rollout.active))
    growing = to_add > 0
    newest_first = sorted(
        rollout.active, key=lambda rs: rs["metadata"]["creationTimestamp"], reverse=growing
    )
    by_size = sorted(newest_first, key=size, reverse=True)
    added, targets = 0, []
    for replica_set in by_size:
        part = _fraction(replica_set, rollout)
        part = min(part, to_add - added) if growing else max(part, to_add - added)
        added += part
        targets.append(size(replica_set) + part)
    targets[0] = max(0, targets[0] + to_add - added)
    for replica_set, replicas in zip(by_size, targets, strict=True):
        rollout.scale(replica_set, replicas)


def _fraction(replica_set: Object, rollout: Rollout) -> int:
    if not rollout.wanted:
        return -size(replica_set)
    now = rollout.wanted + bounds(rollout.deployment)[0]
    status = rollout.deployment.get("status") or {}
    before = int(annotations_of(replica_set).get(MAXIMUM, 0)) or status.get("replicas", 0)
    return int(size(replica_set) * now / before + 0.5) - size(replica_set) if before else 0
