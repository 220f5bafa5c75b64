"""What every namespace has from the start: the ServiceAccount `default` and the cluster's CA.

Puts them back when they are deleted or changed.
Source: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
"""

from collections.abc import Iterable
from datetime import datetime

from lab_utils.controlplane.controllers.actions import Action, Create, Update
from lab_utils.controlplane.controllers.controller import Controller
from lab_utils.controlplane.controllers.objects import Key
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Change

ACCOUNT, CA = "default", "kube-root-ca.crt"
_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
    "endpoints such as the internal service IP or kubernetes.default.svc. No other usage is "
    "guaranteed across distributions of Kubernetes clusters."
)


def reconcile(namespace: Object, world: World, _now: datetime) -> list[Action]:
    """Create the ServiceAccount; create or repair the ConfigMap."""
    name = namespace["metadata"]["name"]
    if not world.accepts(name):
        return []
    actions: list[Action] = []
    if world.get("ServiceAccount", name, ACCOUNT) is None:
        metadata: Object = {"name": ACCOUNT, "namespace": name}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        actions.append(Create(account))
    data, current = {"ca.crt": world.ca}, world.get("ConfigMap", name, CA)
    if current is None:
        metadata = {"name": CA, "namespace": name}
        metadata["annotations"] = {"kubernetes.io/description": _DESCRIPTION}
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        actions.append(Create(config))
    elif current.get("data") != data:
        actions.append(Update(current | {"data": data}))
    return actions


def _namespace_of(name: str, change: Change) -> Iterable[Key]:
    return [("Namespace", "", change.key[0])] if change.key[1] == name else []


CONTROLLER = Controller(
    "service-account-controller",
    "Namespace",
    reconcile,
    {
        "ServiceAccount": lambda change, _world: _namespace_of(ACCOUNT, change),
        "ConfigMap": lambda change, _world: _namespace_of(CA, change),
    },
)
