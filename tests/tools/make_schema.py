"""Write `schema.json` from the official client's model classes.

Run as `python -m tests.tools.make_schema` after the client's version has changed. The control
plane reads only the file: importing the client there would cost more memory than the cluster.
"""

import json
import re
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Union, get_args, get_origin

from kubernetes.client import models
from pydantic import BaseModel
from pydantic.fields import FieldInfo

TARGET = Path(__file__).parents[2] / "lab_utils" / "controlplane" / "schema.json"
ROOTS = {
    **{kind: f"V1{kind}" for kind in (
        "Namespace", "Node", "Pod", "Service", "Endpoints", "ConfigMap", "Secret",
        "ServiceAccount", "Deployment", "ReplicaSet", "Lease", "EndpointSlice", "NetworkPolicy",
        "PodDisruptionBudget", "Job", "Scale", "Binding", "Eviction", "DeleteOptions",
        "SelfSubjectReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview",
        "SubjectAccessReview")},
    "Event": "CoreV1Event",
    "events.k8s.io/v1 Event": "EventsV1Event",
    "HorizontalPodAutoscaler": "V2HorizontalPodAutoscaler",
    "autoscaling/v1 HorizontalPodAutoscaler": "V1HorizontalPodAutoscaler",
    "NodeMetrics": "V1beta1NodeMetrics",
    "PodMetrics": "V1beta1PodMetrics",
}  # fmt: skip
# The one API that the client has no classes for, from k8s.io/metrics.
_MEASURED = {
    "apiVersion": ["string", ""], "kind": ["string", ""], "metadata": ["V1ObjectMeta", ""],
    "timestamp": ["time", "The end of the time that was measured"],
    "window": ["string", "How long was measured"],
}  # fmt: skip
METRICS = {
    "V1beta1NodeMetrics": {
        "description": "NodeMetrics sets resource usage metrics of a node.",
        "fields": _MEASURED | {"usage": ["{}quantity", "The usage of CPU and memory"]},
        "required": ["timestamp", "usage", "window"],
    },
    "V1beta1PodMetrics": {
        "description": "PodMetrics sets resource usage metrics of a pod.",
        "fields": _MEASURED | {"containers": ["[]V1beta1ContainerMetrics", "Every container"]},
        "required": ["containers", "timestamp", "window"],
    },
    "V1beta1ContainerMetrics": {
        "description": "ContainerMetrics sets resource usage metrics of a container.",
        "fields": {
            "name": ["string", "The name of the container"],
            "usage": ["{}quantity", "The usage of CPU and memory"],
        },
        "required": ["name", "usage"],
    },
}
MAX_DESCRIPTION = 160

# What the client's classes do not tell apart; the names are unique enough over all types.
INT64 = {
    "activeDeadlineSeconds", "deletionGracePeriodSeconds", "expirationSeconds", "fsGroup",
    "generation", "gracePeriodSeconds", "limit", "observedGeneration", "runAsGroup", "runAsUser",
    "seconds", "sizeBytes", "supplementalGroups", "terminationGracePeriodSeconds",
    "tolerationSeconds", "capacity",
}  # fmt: skip
MICRO_TIMES = {"acquireTime", "renewTime", "eventTime", "lastObservedTime"}
QUANTITIES = {
    ("V1EmptyDirVolumeSource", "sizeLimit"), ("V1ResourceFieldSelector", "divisor"),
    ("V2MetricTarget", "value"), ("V2MetricTarget", "averageValue"),
    ("V2MetricValueStatus", "value"), ("V2MetricValueStatus", "averageValue"),
    ("V2HPAScalingRules", "tolerance"),
}  # fmt: skip
QUANTITY_MAPS = {"allocatable", "allocatedResources", "capacity", "limits", "overhead", "requests"}
SCALARS = {str: "string", bool: "boolean", float: "number", Any: "any", object: "any"}


def bare(annotation: Any) -> Any:
    """Take Optional and Annotated off a type."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) is Union:
        kept = [bare(arg) for arg in get_args(annotation) if arg is not NoneType]
        return kept[0] if len(kept) == 1 else frozenset(kept)
    return annotation


def encode(owner: str, name: str, annotation: Any) -> str:
    """Write a field's type: `string`, `[]V1Container`, `{}quantity`."""
    kind = bare(annotation)
    if get_origin(kind) is list:
        return "[]" + encode(owner, name, get_args(kind)[0])
    if get_origin(kind) is dict:
        value = get_args(kind)[1]
        if name in QUANTITY_MAPS and bare(value) is str:
            return "{}quantity"
        return "{}" + encode(owner, name, value)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind.__name__
    if kind is int:
        return "int64" if name in INT64 else "int32"
    if kind is datetime:
        return "microtime" if name in MICRO_TIMES else "time"
    if kind == frozenset({bytes, str}):
        return "bytes"
    if kind == frozenset({int, str}):
        return "int-or-string"
    if (owner, name) in QUANTITIES:
        return "quantity"
    return SCALARS[kind]


def shorten(text: str | None) -> str:
    """Keep the first sentence: what `kubectl explain` needs, not the book."""
    sentence = re.split(r"(?<=[a-z)\"'`])\. |\n\n", " ".join((text or "").split()), maxsplit=1)[0]
    if len(sentence) <= MAX_DESCRIPTION:
        return sentence
    return sentence[: MAX_DESCRIPTION - 1].rsplit(" ", 1)[0] + "…"


def describe_type(model: type[BaseModel]) -> str:
    """Find the sentence above `Attributes:` in a model's docstring."""
    return shorten((model.__doc__ or "").split("Attributes:")[0])


def wire_name(name: str, info: FieldInfo) -> str:
    """Give the name of a field in JSON."""
    return info.serialization_alias or name


def describe(model: type[BaseModel]) -> dict[str, Any]:
    """Write one type: its fields as name -> [type, description], and which are required."""
    fields = {
        wire_name(name, info): [
            encode(model.__name__, wire_name(name, info), info.annotation),
            shorten(info.description),
        ]
        for name, info in model.model_fields.items()
    }
    required = [wire_name(n, info) for n, info in model.model_fields.items() if info.is_required()]
    return {"description": describe_type(model), "fields": fields, "required": required}


def build() -> dict[str, Any]:
    """Collect every type reachable from the kinds."""
    types: dict[str, Any] = {}
    waiting = sorted(set(ROOTS.values()))
    while waiting:
        name = waiting.pop()
        if name in types:
            continue
        types[name] = METRICS.get(name) or describe(getattr(models, name))
        encoded = (
            field[0].replace("[]", "").replace("{}", "") for field in types[name]["fields"].values()
        )
        waiting += [inner for inner in encoded if inner[:1].isupper()]
    return {"kinds": ROOTS, "types": dict(sorted(types.items()))}


def render() -> str:
    """Give the text of schema.json: one type a line, so that a diff can be read."""
    schema = build()
    compact = {"ensure_ascii": False, "separators": (",", ":")}
    kinds = json.dumps(schema["kinds"], **compact)
    lines = ",\n".join(
        f"{json.dumps(name)}:{json.dumps(body, **compact)}"
        for name, body in schema["types"].items()
    )
    return f'{{"kinds":{kinds},\n"types":{{\n{lines}\n}}}}\n'


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1000:.0f} kB, {len(build()['types'])} types")
