"""The shape of every kind: which fields there are, of which type, and how lists of them merge.

Hides where the shapes come from: `schema.json`, generated from the official client's classes, which
are far too heavy to import into a control plane, and `wire.json`, the
numbers of Kubernetes' protobuf. Never looks at what a value means.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lab_utils.controlplane.status import Object


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a type; type is `string`, `V1PodSpec`, `[]V1Container` or `{}quantity`."""

    type: str
    description: str
    required: bool
    omits_zero: bool
    """0 and false are the same as nothing: the field is no pointer in Go."""


@dataclass(frozen=True)
class Type:
    """One type of the API, under the name the official client gives its class (`V1PodSpec`)."""

    name: str
    description: str
    fields: Mapping[str, Field]

    @cached_property
    def go_name(self) -> str:
        """Give the name Kubernetes' messages use: `PodSpec`."""
        return re.sub(r"^[A-Za-z]*?V\d+((alpha|beta)\d+)?", "", self.name)

    @property
    def go_version(self) -> str:
        """Give the package of the name in messages: `v1`, `v2` or `v1beta1`."""
        found = re.search(r"V(\d+((alpha|beta)\d+)?)[A-Z]", self.name)
        return f"v{found[1]}" if found else "v1"


@dataclass(frozen=True, slots=True)
class Merge:
    """How one list or map of a type is merged when two parties write it.

    patch_key is the strategic merge patch's key ("" for a list of plain values), None where that
    patch replaces the list. apply_keys are server-side apply's: () for a set, None for atomic.
    """

    patch_key: str | None = None
    apply_keys: tuple[str, ...] | None = None
    retain_keys: bool = False


ATOMIC = Merge()
_NAMED = Merge("name", ("name",))
_TYPED = Merge("type", ("type",))
_BY_IP = Merge("ip", ("ip",))
_SET = Merge("", ())
MERGES: Mapping[tuple[str, str], Merge] = MappingProxyType({
    ("V1ObjectMeta", "ownerReferences"): Merge("uid", ("uid",)),
    ("V1ObjectMeta", "finalizers"): _SET,
    ("V1NodeSpec", "podCIDRs"): _SET,
    ("V1NodeStatus", "addresses"): _TYPED,
    ("V1NodeStatus", "conditions"): _TYPED,
    ("V1NamespaceStatus", "conditions"): _TYPED,
    ("V1PodSpec", "volumes"): Merge("name", ("name",), retain_keys=True),
    ("V1PodSpec", "initContainers"): _NAMED,
    ("V1PodSpec", "containers"): _NAMED,
    ("V1PodSpec", "imagePullSecrets"): _NAMED,
    ("V1PodSpec", "hostAliases"): _BY_IP,
    ("V1PodSpec", "topologySpreadConstraints"):
        Merge("topologyKey", ("topologyKey", "whenUnsatisfiable")),
    ("V1PodStatus", "conditions"): _TYPED,
    ("V1PodStatus", "podIPs"): _BY_IP,
    ("V1PodStatus", "hostIPs"): Merge("ip"),
    ("V1Container", "env"): _NAMED,
    ("V1Container", "ports"): Merge("containerPort", ("containerPort", "protocol")),
    ("V1Container", "volumeMounts"): Merge("mountPath", ("mountPath",)),
    ("V1ServiceAccount", "secrets"): _NAMED,
    ("V1ServiceSpec", "ports"): Merge("port", ("port", "protocol")),
    ("V1ServiceStatus", "conditions"): _TYPED,
    ("V1DeploymentSpec", "strategy"): Merge(retain_keys=True),
    ("V1DeploymentStatus", "conditions"): _TYPED,
    ("V1ReplicaSetStatus", "conditions"): _TYPED,
    ("V1JobStatus", "conditions"): Merge("type"),
    ("V1PodDisruptionBudgetStatus", "conditions"): _TYPED,
    ("V2HorizontalPodAutoscalerStatus", "conditions"): _TYPED,
    ("V1Endpoint", "addresses"): Merge(None, ()),
})  # fmt: skip
"""Lists that are merged item by item; every other list is replaced as a whole."""

ATOMIC_TYPES = frozenset({
    "V1LabelSelector", "V1NodeSelector", "V1NodeSelectorTerm", "V1ObjectReference",
    "V1LocalObjectReference", "V1SecretKeySelector", "V1ConfigMapKeySelector",
    "V1ObjectFieldSelector",
    "V1ResourceFieldSelector", "V1OwnerReference", "V2CrossVersionObjectReference",
})  # fmt: skip
"""Types that have one owner in server-side apply, whatever is inside."""
ATOMIC_MAPS = frozenset({("V1ServiceSpec", "selector"), ("V1PodSpec", "nodeSelector")})
"""Maps that have one owner in server-side apply."""
KEY_DEFAULTS: Mapping[str, Any] = MappingProxyType({"protocol": "TCP"})
"""What a list key is taken to be where an item does not give it."""


def _read(name: str) -> Any:
    return json.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))


@cache
def wire_numbers() -> Mapping[str, Any]:
    """Give the numbers of fields in protobuf: type -> field -> number.

    A number is negative where Go writes no zero; a dict stands in place of a number for a message
    whose fields are, in JSON, those of the one around it.
    """
    found: Mapping[str, Any] = _read("wire.json")
    return found


def _without_zero(numbers: Mapping[str, Any]) -> set[str]:
    inner = (_without_zero(one) for one in numbers.values() if isinstance(one, dict))
    own = {name for name, one in numbers.items() if not isinstance(one, dict) and one < 0}
    return own.union(*inner)


@cache
def _load() -> tuple[dict[str, str], dict[str, Type]]:
    raw: Object = _read("schema.json")
    return raw["kinds"], {name: _type(name, body) for name, body in raw["types"].items()}


def _type(name: str, body: Object) -> Type:
    zeros = _without_zero(wire_numbers().get(name, {}))
    fields = {
        field: Field(type_name, text, field in body["required"], field in zeros)
        for field, (type_name, text) in body["fields"].items()
    }
    return Type(name, body["description"], fields)


def type_of(kind: str) -> Type:
    """Find the type of a kind: `Pod` is `V1Pod`, `events.k8s.io/v1 Event` is `EventsV1Event`."""
    kinds, types = _load()
    return types[kinds[kind]]


def all_types() -> Mapping[str, Type]:
    """Give every type by its name."""
    return _load()[1]


def fields(type_name: str) -> Mapping[str, Field]:
    """List the fields of a type by name; empty for scalars, lists and maps."""
    found = _load()[1].get(type_name)
    return found.fields if found else {}


def get_type(type_name: str) -> Type | None:
    """Find a type by its name; None for scalars, lists and maps."""
    return _load()[1].get(type_name)


def merge_of(type_name: str, field: str) -> Merge:
    """Say how a list in a field is merged."""
    return MERGES.get((type_name, field), ATOMIC)
