"""How an object goes away: at once, after a grace period, or when its finalizers are done.

Pure rules; removing finalizers is the business of controllers, ending a pod that of its kubelet.
Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/ and
https://kubernetes.io/docs/concepts/architecture/garbage-collection/
"""

import copy
from dataclasses import dataclass
from datetime import datetime, timedelta

from lab_utils.controlplane.kinds import Kind
from lab_utils.controlplane.status import Object, conflict, forbidden
from lab_utils.controlplane.timestamps import parse_rfc3339, rfc3339

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
_FINALIZER = {"Foreground": FOREGROUND, "Orphan": ORPHAN}
_LONGEST_GRACE_S = 100 * 365 * 86400  # a deletionTimestamp has four digits for its year
_IMMORTAL = ("default", "kube-system", "kube-public")


@dataclass(frozen=True)
class DeleteOptions:
    """How a deletion is to be done; None leaves it to the kind."""

    dry_run: bool = False
    grace_s: int | None = None
    propagation: str | None = None
    uid: str | None = None
    resource_version: str | None = None


def is_final(obj: Object) -> bool:
    """Tell whether nobody has to do anything any more before the object may go."""
    finalizers = obj["metadata"].get("finalizers")
    if obj["kind"] == "Namespace":
        finalizers = finalizers or obj.get("spec", {}).get("finalizers")
    return not finalizers


def is_over(obj: Object) -> bool:
    """Tell whether an object that is being deleted has reached its end."""
    metadata = obj["metadata"]
    waiting = metadata.get("deletionGracePeriodSeconds") or 0
    return "deletionTimestamp" in metadata and not waiting and is_final(obj)


def check_request(row: Kind, live: Object, options: DeleteOptions) -> None:
    """Refuse a deletion that means another object, or one that may not go.

    Raises:
        ApiError: 409 for a precondition, 403 for a system namespace.
    """
    metadata = live["metadata"]
    if row.name == "Namespace" and metadata["name"] in _IMMORTAL:
        why = "this namespace may not be deleted"
        raise forbidden(row.group, row.plural, metadata["name"], why)
    for name, wanted, found, what in (
        ("UID", options.uid, metadata["uid"], "deleted and then recreated"),
        ("ResourceVersion", options.resource_version, metadata["resourceVersion"], "modified"),
    ):
        if wanted not in (None, found):
            why = (
                f"the {name} in the precondition ({wanted}) does not match the {name} in record "
                f"({found}). The object might have been {what}"
            )
            raise conflict(row.group, row.name, metadata["name"], why)


def begin(live: Object, options: DeleteOptions, now: datetime) -> Object:
    """Give the object as a DELETE leaves it; the same object when it changes nothing."""
    if live["kind"] == "Namespace":
        return _terminate_namespace(live, now)
    new = copy.deepcopy(live)
    _set_finalizer(new["metadata"], options.propagation)
    if live["kind"] == "Pod":
        return _shorten_pod(new, live, options.grace_s, now)
    if "deletionTimestamp" in new["metadata"]:
        return live if new == live else new
    if is_final(new):
        return live
    _mark(new["metadata"], 0, now)
    return new


def _terminate_namespace(live: Object, now: datetime) -> Object:
    if "deletionTimestamp" in live["metadata"]:
        return live
    new = copy.deepcopy(live)
    new["metadata"]["deletionTimestamp"] = rfc3339(now)
    new.setdefault("status", {})["phase"] = "Terminating"
    return new


def _set_finalizer(metadata: Object, propagation: str | None) -> None:
    """Turn the propagation policy into the finalizer that stands for it; None keeps what is."""
    if propagation is None:
        return
    wanted = _FINALIZER.get(propagation)
    finalizers = [
        name
        for name in metadata.get("finalizers", [])
        if name == wanted or name not in (FOREGROUND, ORPHAN)
    ]
    if wanted and wanted not in finalizers:
        finalizers.append(wanted)
    metadata.pop("finalizers", None)
    metadata |= {"finalizers": finalizers} if finalizers else {}


def _shorten_pod(new: Object, live: Object, grace_s: int | None, now: datetime) -> Object:
    """Start a pod's grace period; once started it can only become shorter."""
    metadata = new["metadata"]
    pending_s = metadata.get("deletionGracePeriodSeconds")
    if pending_s is None:
        _mark(metadata, _pod_grace_s(new, grace_s), now)
        return new
    wanted_s = pending_s if grace_s is None else _pod_grace_s(new, grace_s)
    if wanted_s >= pending_s:
        return live if metadata == live["metadata"] else new
    end = parse_rfc3339(metadata["deletionTimestamp"]) - timedelta(seconds=pending_s - wanted_s)
    metadata |= {"deletionTimestamp": rfc3339(end), "deletionGracePeriodSeconds": wanted_s}
    return new


def _pod_grace_s(pod: Object, grace_s: int | None) -> int:
    spec = pod["spec"]
    if not spec.get("nodeName") or pod.get("status", {}).get("phase") in ("Failed", "Succeeded"):
        return 0
    wanted = spec.get("terminationGracePeriodSeconds", 0) if grace_s is None else grace_s
    return 1 if wanted < 0 else min(int(wanted), _LONGEST_GRACE_S)


def _mark(metadata: Object, grace_s: int, now: datetime) -> None:
    metadata["deletionTimestamp"] = rfc3339(now + timedelta(seconds=grace_s))
    metadata["deletionGracePeriodSeconds"] = grace_s
    if "generation" in metadata:
        metadata["generation"] += 1
