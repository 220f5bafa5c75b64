"""The part of kustomize the lab's overlays use: resources, namespace, labels and patches.

Pure: a parsed `kustomization.yaml` to a plan, a plan and objects to new objects. What it does not
know it refuses by name, so that `kubectl apply -k` and the lab never differ in silence.
Source: https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/
"""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jsonpatch

from lab_utils.controlplane.patch import strategic_merge_patch
from lab_utils.errors import ManifestError

Object = dict[str, Any]
FILE = "kustomization.yaml"
_CLUSTER_SCOPED = {
    "APIService", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "IngressClass",
    "Node", "PersistentVolume", "PriorityClass", "RuntimeClass", "StorageClass",
}  # fmt: skip


@dataclass(frozen=True)
class Patch:
    """One patch: its text or the file that has it, and the kind and name it is for."""

    text: str = ""
    path: str | None = None
    target: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What a kustomization asks for."""

    where: str
    resources: tuple[str, ...]
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    template_labels: Mapping[str, str] = field(default_factory=dict)
    patches: tuple[Patch, ...] = ()


def parse(content: object, where: str) -> Plan:
    """Read the content of a kustomization.

    Raises:
        ManifestError: It is not one, or it uses a feature the lab does not know.
    """
    known = {"resources", "namespace", "labels", "patches"}
    fields = _fields(content, known | {"apiVersion", "kind", "metadata"}, where)
    for name in ("resources", "labels", "patches"):
        if not isinstance(fields.get(name) or [], list):
            raise ManifestError(f"{where}: {name} is {fields[name]!r}, want a list.")
    resources = tuple(str(resource) for resource in fields.get("resources") or ())
    if remote := [resource for resource in resources if "://" in resource]:
        raise ManifestError(
            f"{where}: the resource {remote[0]} is on the net: want a file or folder of this clone."
        )
    labels = [
        _fields(entry, {"pairs", "includeTemplates"}, f"{where}: labels")
        for entry in fields.get("labels") or ()
    ]
    return Plan(
        where=where,
        resources=resources,
        namespace=fields.get("namespace"),
        labels=_pairs(labels),
        template_labels=_pairs([entry for entry in labels if entry.get("includeTemplates")]),
        patches=tuple(_patch(entry, where) for entry in fields.get("patches") or ()),
    )


def _fields(content: object, known: set[str], where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ManifestError(f"{where}: found {content!r}, want a mapping of {sorted(known)}.")
    if unknown := sorted(set(map(str, content)) - known):
        raise ManifestError(
            f"{where}: the lab does not know kustomize's {unknown[0]!r}, only {sorted(known)}. "
            "Write its result out with `kubectl kustomize FOLDER > FILE.yaml` and apply the file."
        )
    return content


def _pairs(entries: list[dict[str, Any]]) -> dict[str, str]:
    return {key: value for entry in entries for key, value in (entry.get("pairs") or {}).items()}


def _patch(entry: object, where: str) -> Patch:
    fields = _fields(entry, {"path", "patch", "target"}, f"{where}: patches")
    if ("path" in fields) == ("patch" in fields):
        raise ManifestError(f"{where}: a patch wants either `path` or `patch`.")
    target = _fields(
        fields.get("target", {}), {"group", "version", "kind", "name"}, f"{where}: target"
    )
    return Patch(str(fields.get("patch", "")), fields.get("path"), target)


def transform(plan: Plan, objects: list[Object], patches: list[Any]) -> list[Object]:
    """Apply a plan to the objects of its resources.

    Args:
        plan: What `parse` gave.
        objects: The objects of plan.resources; not changed.
        patches: The parsed content of plan.patches, in order: a list of JSON patch operations, or
            a partial object (strategic merge patch).

    Returns:
        New objects in the same order.

    Raises:
        ManifestError: A patch is for nothing here, or cannot be applied.
    """
    changed = copy.deepcopy(objects)
    for patch, content in zip(plan.patches, patches, strict=True):
        changed = _apply(plan, patch, content, changed)
    for item in changed:
        _relabel(plan, item)
    return changed


def _apply(plan: Plan, patch: Patch, content: Any, objects: list[Object]) -> list[Object]:
    target = patch.target or _identity(content)
    hits = [item for item in objects if target and _matches(item, target)]
    if not hits:
        raise ManifestError(
            f"{plan.where}: the patch for {dict(target)} is for none of the resources: "
            f"{', '.join(_title(item) for item in objects)}."
        )
    return [_patched(plan, item, content) if item in hits else item for item in objects]


def _identity(content: Any) -> dict[str, str]:
    if not isinstance(content, dict):
        return {}
    return {"kind": content.get("kind", ""), "name": content.get("metadata", {}).get("name", "")}


def _matches(item: Object, target: Mapping[str, str]) -> bool:
    group, _, version = str(item["apiVersion"]).rpartition("/")
    seen = {"group": group, "version": version, "kind": item["kind"]}
    seen["name"] = item["metadata"].get("name", "")
    # kustomize reads each as an anchored regular expression
    return all(re.fullmatch(wanted, seen[key]) for key, wanted in target.items())


def _patched(plan: Plan, item: Object, content: Any) -> Object:
    try:
        if isinstance(content, list):
            result: Object = jsonpatch.apply_patch(item, content)
            return result
        result = strategic_merge_patch(item["kind"], item, content)
    except Exception as exc:  # jsonpatch, jsonpointer and ApiError share no narrower base
        raise ManifestError(f"{plan.where}: cannot patch {_title(item)}: {exc}.") from exc
    result["metadata"]["name"] = item["metadata"]["name"]  # with a target, a patch's name is free
    return result


def _relabel(plan: Plan, item: Object) -> None:
    metadata = item["metadata"]
    if plan.namespace and item["kind"] == "Namespace":
        metadata["name"] = plan.namespace
    elif plan.namespace and item["kind"] not in _CLUSTER_SCOPED:
        metadata["namespace"] = plan.namespace
    if plan.labels:
        metadata["labels"] = {**metadata.get("labels", {}), **plan.labels}
    template = item.get("spec", {}).get("template")
    if plan.template_labels and isinstance(template, dict):
        inner = template.setdefault("metadata", {})
        inner["labels"] = {**inner.get("labels", {}), **plan.template_labels}


def _title(item: Object) -> str:
    return f"{item['kind']} {item['metadata'].get('name', '')}"
