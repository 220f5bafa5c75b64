"""Which objects the cluster takes, and what may be changed of them.

Hides the rules behind one call; their texts are Kubernetes' own. `metadata`, `pods`, `containers`,
`objects`, `network`, `batch` and `autoscaling` hold one row per field and the functions that look
at several fields, `changes` what looks at the object before. Runs after the defaults, sees one
object and its predecessor, and never reads another.

Source:
    k8s.io/kubernetes/pkg/apis/<group>/validation
"""

from collections.abc import Iterator
from typing import Any

from lab_utils.controlplane import shapes
from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes, formats
from lab_utils.controlplane.validation.autoscaling import AUTOSCALING
from lab_utils.controlplane.validation.batch import BATCH
from lab_utils.controlplane.validation.changes import CHANGES, new_finalizers
from lab_utils.controlplane.validation.checks import Rows, text
from lab_utils.controlplane.validation.containers import CONTAINERS
from lab_utils.controlplane.validation.metadata import METADATA
from lab_utils.controlplane.validation.network import NETWORK
from lab_utils.controlplane.validation.objects import OBJECTS
from lab_utils.controlplane.validation.pods import PODS

__all__ = ["validate"]

FIELDS: Rows = {**METADATA, **PODS, **CONTAINERS, **OBJECTS, **NETWORK, **BATCH, **AUTOSCALING}
_LABEL_NAMES = ("Service", "Namespace")


def validate(kind: str, new: Object, old: Object | None) -> list[Cause]:
    """Find what is wrong with an object.

    Args:
        kind: A served kind.
        new: The object, defaults filled in.
        old: What it takes the place of; None for a create.

    Returns:
        One cause per mistake, in Kubernetes' order; empty when all is well.
    """
    # A pod's spec is compared, not checked again; a status is checked by who writes it.
    skipped = ("spec", "status") if kind == "Pod" and old is not None else ("status",)
    checked = {key: value for key, value in new.items() if key not in skipped}
    found = [*_name(kind, new), *_inside(shapes.type_of(kind).name, checked, "")]
    if old is not None:
        found += new_finalizers(new, old)
    if old is not None and kind in CHANGES:
        found += CHANGES[kind](new, old)
    return found


def _name(kind: str, new: Object) -> Iterator[Cause]:
    name = new.get("metadata", {}).get("name", "")
    if not name:
        yield causes.required("metadata.name", "name or generateName is required")
        return
    check = formats.dns_label_name if kind in _LABEL_NAMES else formats.dns_subdomain
    yield from text(check)(name, "metadata.name")


def _inside(type_name: str, value: Any, at: str) -> Iterator[Cause]:
    """Check the fields of a value: those with a row in its order, then the others."""
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from _inside(type_name.removeprefix("[]"), item, f"{at}[{i}]")
        return
    declared = shapes.fields(type_name)
    if not declared or not isinstance(value, dict):
        return
    rows = FIELDS.get(type_name, {})
    for name in (*rows, *(name for name in declared if name in value and name not in rows)):
        if name == "":
            yield from rows[name](value, at)
            continue
        field = f"{at}.{name}" if at else name
        if name in rows:
            yield from rows[name](value.get(name), field)
        yield from _inside(declared[name].type, value.get(name), field)
