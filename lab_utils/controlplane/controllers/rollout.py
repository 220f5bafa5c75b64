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
    # Of a ReplicaSet that has just shrunk, those beyond its size are on their way out.
    healthy = sum(min(size(rs), counted(rs, "availableReplicas")) for rs in rollout.all)
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


def is_rescaled(rollout: Rollout) -> bool:
    """Tell whether `replicas` has changed since a ReplicaSet was sized."""
    noted = (annotations_of(replica_set).get(DESIRED) for replica_set in rollout.active)
    return any(text is not None and int(text) != rollout.wanted for text in noted)


def rescale(rollout: Rollout) -> None:
    """Follow a change of `replicas`: in the middle of a rollout every ReplicaSet takes its share.

    Source:
        https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#proportional-scaling
    """
    active = rollout.active or rollout.all[-1:]
    if len(active) == 1:
        rollout.scale(active[0], rollout.wanted)
    elif rollout.new is not None and _is_saturated(rollout.new, rollout.wanted):
        for replica_set in filter(size, list(rollout.old)):
            rollout.scale(replica_set, 0)
    elif rollout.deployment["spec"]["strategy"]["type"] == "RollingUpdate":
        _share_out(rollout, active)


def _share_out(rollout: Rollout, active: list[Object]) -> None:
    """Resize ReplicaSets in proportion; the largest takes what rounding leaves.

    Of two that are as large, the newer one grows first and the older one shrinks first.
    """
    most = rollout.wanted + bounds(rollout.deployment)[0] if rollout.wanted else 0
    left = change = most - sum(map(size, active))
    by_age = sorted(active, key=lambda rs: rs["metadata"]["creationTimestamp"], reverse=change > 0)
    largest_first = sorted(by_age, key=size, reverse=True)
    shares = []
    for replica_set in largest_first:
        share = _share(rollout, replica_set, most)
        share = min(share, left) if change > 0 else max(share, left)
        shares.append(share if left else 0)
        left -= shares[-1]
    for replica_set, share in zip(largest_first, [shares[0] + left, *shares[1:]], strict=True):
        rollout.scale(replica_set, max(0, size(replica_set) + share))


def _share(rollout: Rollout, replica_set: Object, most: int) -> int:
    """Give by how much a ReplicaSet changes if it keeps its part of the whole."""
    status = rollout.deployment.get("status") or {}
    before = int(annotations_of(replica_set).get(MAXIMUM, 0)) or status.get("replicas", 0)
    return int(size(replica_set) * most / before + 0.5) - size(replica_set) if before else 0


def _is_saturated(replica_set: Object, wanted: int) -> bool:
    noted = annotations_of(replica_set).get(DESIRED)
    available = counted(replica_set, "availableReplicas")
    return noted == str(wanted) and size(replica_set) == available == wanted
