"""The revisions of a Deployment: which ReplicaSet is the new one, its number, its history.

Hides the annotations `kubectl rollout history` and `undo` read. Old ReplicaSets are kept, so that
going back finds the template, until there are more of them than revisionHistoryLimit.
"""

import copy
import hashlib
import json

from lab_utils.controlplane.controllers.actions import Create, Delete, Update
from lab_utils.controlplane.controllers.objects import (
    annotations_of,
    controller_reference,
    is_terminating,
    labels_of,
)
from lab_utils.controlplane.controllers.rollout import (
    Rollout,
    counted,
    first_size,
    scaling,
    size,
    sizes,
)
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
_OWN = (
    REVISION,
    HISTORY,
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
    "kubectl.kubernetes.io/last-applied-configuration",
)
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # Kubernetes' own: no vowel, so no word comes out
_HASH_LENGTH = 10


def template_hash(template: Object) -> str:
    """Name a pod template: the same template has the same short name."""
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:_HASH_LENGTH])


def _free_hash(deployment: Object, world: World) -> str:
    """Name the template; a ReplicaSet that was released keeps its name, so take another then."""
    meta, template = deployment["metadata"], deployment["spec"]["template"]
    digest = template_hash(template)
    while world.get("ReplicaSet", meta["namespace"], f"{meta['name']}-{digest}"):
        digest = template_hash({"not": digest, "but": template})
    return digest


def is_of_template(replica_set: Object, template: Object) -> bool:
    """Tell whether a ReplicaSet has this pod template, its hash label aside."""
    own = replica_set["spec"]["template"]
    labels = {key: value for key, value in labels_of(own).items() if key != HASH_LABEL}
    metadata = own["metadata"] | {"labels": labels}
    return _told(own | {"metadata": metadata}) == _told(template)


def _told(template: Object) -> Object:
    """Leave out what says nothing: `creationTimestamp: null` and empty maps."""
    metadata = {key: value for key, value in template["metadata"].items() if value}
    return template | {"metadata": metadata}


def revision(obj: Object) -> int:
    """Give the revision number; 0 if there is none yet."""
    text = annotations_of(obj).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def number(rollout: Rollout) -> None:
    """Make the new ReplicaSet the latest revision and tell the Deployment its number."""
    if rollout.new is None:
        return
    annotated = _annotated(rollout, rollout.new)
    if annotations_of(annotated) != annotations_of(rollout.new):
        rollout.replace(annotated)
    _note_revision(rollout)


def create_new(rollout: Rollout, world: World) -> Object:
    """Create the ReplicaSet of the current template, as large as it may be at once."""
    deployment = rollout.deployment
    meta, spec = deployment["metadata"], deployment["spec"]
    template = copy.deepcopy(spec["template"])
    digest = _free_hash(deployment, world)
    template["metadata"]["labels"] = labels_of(template) | {HASH_LABEL: digest}
    selector = copy.deepcopy(spec["selector"])
    selector["matchLabels"] = (selector.get("matchLabels") or {}) | {HASH_LABEL: digest}
    name = f"{meta['name']}-{digest}"
    metadata = {"name": name, "namespace": meta["namespace"], "labels": labels_of(template)}
    metadata["ownerReferences"] = [controller_reference(deployment)]
    body = {"replicas": first_size(rollout), "selector": selector, "template": template}
    if spec.get("minReadySeconds"):
        body["minReadySeconds"] = spec["minReadySeconds"]
    identity = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata}
    rollout.new = new = _annotated(rollout, {**identity, "spec": body})
    rollout.actions.append(Create(new, scaling(deployment, new, 0)))
    _note_revision(rollout)
    return new


def _annotated(rollout: Rollout, new: Object) -> Object:
    """Copy the Deployment's annotations (change-cause!) and give the next number if needed."""
    annotations = dict(annotations_of(new))
    copied = annotations_of(rollout.deployment).items()
    annotations |= {key: value for key, value in copied if key not in _OWN}
    latest = max(map(revision, rollout.old), default=0) + 1
    if revision(new) < latest:
        if (former := annotations.get(REVISION)) is not None:
            history = [*filter(None, annotations.get(HISTORY, "").split(",")), former]
            annotations[HISTORY] = ",".join(history)
        annotations[REVISION] = str(latest)
    if not sizes(rollout.deployment).keys() <= annotations.keys():
        annotations |= sizes(rollout.deployment)
    return new | {"metadata": new["metadata"] | {"annotations": annotations}}


def _note_revision(rollout: Rollout) -> None:
    if rollout.new is None or revision(rollout.deployment) == revision(rollout.new):
        return
    noted = copy.deepcopy(rollout.deployment)
    noted["metadata"].setdefault("annotations", {})[REVISION] = str(revision(rollout.new))
    rollout.deployment = noted
    rollout.actions.append(Update(noted))


def forget_oldest(rollout: Rollout) -> None:
    """Delete the oldest ReplicaSets without pods beyond revisionHistoryLimit."""
    limit: int = rollout.deployment["spec"].get("revisionHistoryLimit", 10)
    alive = [replica_set for replica_set in rollout.old if not is_terminating(replica_set)]
    surplus = max(0, len(alive) - limit)
    for replica_set in sorted(alive, key=revision)[:surplus]:
        if not size(replica_set) and not counted(replica_set, "replicas"):
            rollout.actions.append(Delete(replica_set))
