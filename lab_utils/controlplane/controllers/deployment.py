"""Deployment: a template that changes, rolled out from one ReplicaSet to the next.

Hides adoption, pausing and the two strategies. Pods are the ReplicaSets' business alone.
Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
"""

from datetime import datetime

from lab_utils.controlplane.controllers import progress, revisions, rollout
from lab_utils.controlplane.controllers.actions import Action
from lab_utils.controlplane.controllers.controller import Controller, claimants
from lab_utils.controlplane.controllers.objects import (
    condition_of,
    is_finished,
    is_terminating,
    name_of,
)
from lab_utils.controlplane.controllers.ownership import claim
from lab_utils.controlplane.controllers.rollout import Rollout, size
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object


def reconcile(deployment: Object, world: World, now: datetime) -> list[Action]:
    """Move one step: claim, number revisions, scale, and write down the status."""
    claims, replica_sets = claim(deployment, "ReplicaSet", world)
    plan = _plan(deployment, replica_sets)
    plan.actions.extend(claims)
    if is_terminating(deployment):
        progress.write(plan, deployment, now, estimate=False)
        return plan.actions
    paused = bool(deployment["spec"].get("paused"))
    if _note_pause(plan, now) and not paused:
        progress.write(plan, deployment, now, estimate=False)  # to be seen, before it moves on
        return plan.actions
    if paused or rollout.is_rescaled(plan):
        revisions.number(plan)
        rollout.rescale(plan)
        if paused:
            revisions.forget_oldest(plan)
    else:
        _roll(plan, world, now)
    progress.write(plan, deployment, now, estimate=not paused)
    return plan.actions


def _plan(deployment: Object, replica_sets: list[Object]) -> Rollout:
    by_age = sorted(
        replica_sets, key=lambda rs: (rs["metadata"]["creationTimestamp"], rs["metadata"]["name"])
    )
    template = deployment["spec"]["template"]
    new = next((rs for rs in by_age if revisions.is_of_template(rs, template)), None)
    return Rollout(deployment, new, [rs for rs in by_age if rs is not new])


def _note_pause(plan: Rollout, now: datetime) -> bool:
    """Stop the clock of the progress deadline while paused; tell whether that has changed."""
    current = condition_of(plan.deployment, "Progressing")
    reason = current["reason"] if current else ""
    if reason == "ProgressDeadlineExceeded":
        return False
    paused = bool(plan.deployment["spec"].get("paused"))
    if paused and reason != "DeploymentPaused":
        words = ("Unknown", "DeploymentPaused", "Deployment is paused")
    elif not paused and reason == "DeploymentPaused":
        words = ("Unknown", "DeploymentResumed", "Deployment is resumed")
    else:
        return False
    progress.tell(plan, words, now)
    return True


def _roll(plan: Rollout, world: World, now: datetime) -> None:
    if plan.deployment["spec"]["strategy"]["type"] == "Recreate":
        moving = _recreate(plan, world, now)
    else:
        _ensure_new(plan, world, now)
        moving = rollout.grow_new(plan) or rollout.shrink_old(plan)
    if not moving and not any(map(size, plan.old)):
        revisions.forget_oldest(plan)


def _recreate(plan: Rollout, world: World, now: datetime) -> bool:
    """Stop all that is old, wait until its last process has ended, then start what is new."""
    revisions.number(plan)
    stopped = [plan.scale(replica_set, 0) for replica_set in list(plan.old) if size(replica_set)]
    if stopped or any(_still_runs(replica_set, world) for replica_set in plan.old):
        return True
    _ensure_new(plan, world, now)
    return rollout.grow_new(plan)


def _still_runs(replica_set: Object, world: World) -> bool:
    pods = world.owned(replica_set["metadata"]["uid"], "Pod")
    return any(not is_finished(pod) for pod in pods)


def _ensure_new(plan: Rollout, world: World, now: datetime) -> None:
    """Find the ReplicaSet of the current template, or create it, and say which."""
    if plan.new is not None:
        revisions.number(plan)
        if condition_of(plan.deployment, "Progressing") is not None:
            return
        reason, told = "FoundNewReplicaSet", f'Found new replica set "{name_of(plan.new)}"'
    elif world.accepts(plan.deployment["metadata"]["namespace"]):
        created = revisions.create_new(plan, world)
        reason, told = "NewReplicaSetCreated", f'Created new replica set "{name_of(created)}"'
    else:
        return
    progress.tell(plan, ("True", reason, told), now)


CONTROLLER = Controller(
    rollout.NAME,
    "Deployment",
    reconcile,
    {"ReplicaSet": claimants("Deployment")},
)
