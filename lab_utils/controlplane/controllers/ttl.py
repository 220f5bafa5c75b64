"""Time to live: a Job that has ended is deleted after ttlSecondsAfterFinished, with its pods.

Never deletes a Job that does not ask for it.
Source: https://kubernetes.io/docs/concepts/workloads/controllers/ttlafterfinished/
"""

from datetime import datetime, timedelta

from lab_utils.controlplane.controllers.actions import Action, Delete, Requeue
from lab_utils.controlplane.controllers.controller import Controller
from lab_utils.controlplane.controllers.jobend import outcome
from lab_utils.controlplane.controllers.objects import is_terminating
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import parse_rfc3339


def reconcile(job: Object, _world: World, now: datetime) -> list[Action]:
    """Delete a Job whose time is over, or come back when it will be."""
    ttl_s, end = job["spec"].get("ttlSecondsAfterFinished"), outcome(job)
    if ttl_s is None or end is None or is_terminating(job):
        return []
    expiry = parse_rfc3339(end["lastTransitionTime"]) + timedelta(seconds=ttl_s)
    left_s = (expiry - now).total_seconds()
    return [Requeue(left_s)] if left_s > 0 else [Delete(job, propagation="Foreground")]


CONTROLLER = Controller("ttl-after-finished-controller", "Job", reconcile)
