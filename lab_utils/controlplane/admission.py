"""What the cluster has to say about a request that is well formed: refuse it, or add to it.

The admission plug-ins that are on in every cluster, as small functions in their order. They may
read other objects and change the new one; they never write.
Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
"""

import secrets
from collections.abc import Callable, Mapping
from typing import Protocol

from lab_utils.controlplane.kinds import Kind
from lab_utils.controlplane.labelkeys import merge_label_keys
from lab_utils.controlplane.podsecurity import message, violations
from lab_utils.controlplane.status import ApiError, Cause, Object, forbidden, not_found
from lab_utils.controlplane.warn import warn

_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 a path
_PRIORITIES = {
    "": 0,
    "system-cluster-critical": 2_000_000_000,
    "system-node-critical": 2_000_001_000,
}
_NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_POD_SECURITY = "pod-security.kubernetes.io/"
_LEVELS = ("baseline", "restricted")


class Reader(Protocol):
    """What admission needs of the registry."""

    tolerations_s: Mapping[str, int]
    """Default tolerationSeconds by taint."""

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """Give an object, None when there is none."""

    def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        """List a kind in a namespace."""


Plugin = Callable[[Object, Reader], None]


def random_suffix(length: int = 5) -> str:
    """Give a suffix as generateName makes them: no vowels, so no words."""
    return "".join(secrets.choice(_NAME_ALPHABET) for _ in range(length))


def admit_create(row: Kind, obj: Object, reader: Reader) -> None:
    """Run every plug-in over a new object (404 or 403)."""
    if row.namespaced:
        _require_namespace(row, obj, reader)
    for plugin in _ON_CREATE.get(row.name, ()):
        plugin(obj, reader)


def admit_update(row: Kind, obj: Object, reader: Reader) -> None:
    """Run the plug-ins that also look at changes of an object that exists."""
    if row.name in _TEMPLATED:
        _warn_about_template(obj, reader)
    if row.name == "Namespace":
        _warn_about_pods(obj, reader)


def _require_namespace(row: Kind, obj: Object, reader: Reader) -> None:
    name, namespace = obj["metadata"].get("name", ""), obj["metadata"].get("namespace", "")
    found = reader.find("Namespace", "", namespace)
    if found is None:
        raise not_found("", "namespaces", namespace)
    if "deletionTimestamp" not in found["metadata"]:
        return
    end = "is being terminated"
    why = f"unable to create new content in namespace {namespace} because it {end}"
    error = forbidden(row.group, row.plural, name, why)
    cause = Cause("NamespaceTerminating", f"namespace {namespace} {end}", "metadata.namespace")
    error.details = (error.details or {}) | {"causes": [cause.as_dict()]}
    raise error


def _refuse_pod(pod: Object, why: str) -> ApiError:
    return forbidden("", "pods", pod["metadata"].get("name", ""), why)


def _add_service_account(pod: Object, reader: Reader) -> None:
    spec, namespace = pod["spec"], pod["metadata"]["namespace"]
    name = spec["serviceAccountName"] = spec.get("serviceAccountName") or "default"
    spec["serviceAccount"] = name
    account = reader.find("ServiceAccount", namespace, name)
    if account is None:
        why = f"error looking up service account {namespace}/{name}"
        raise _refuse_pod(pod, f'{why}: serviceaccount "{name}" not found')
    default = account.get("automountServiceAccountToken", True)
    if spec.get("automountServiceAccountToken", default):
        _mount_token(spec)


def _mount_token(spec: Object) -> None:
    """Add the volume that holds token, CA and namespace, where a container lacks one."""
    volume = f"kube-api-access-{random_suffix()}"
    mount = {"name": volume, "readOnly": True, "mountPath": _TOKEN_PATH}
    containers = spec.get("containers", []) + spec.get("initContainers", [])
    bare = [
        container
        for container in containers
        if all(one.get("mountPath") != _TOKEN_PATH for one in container.get("volumeMounts", ()))
    ]
    for container in bare:
        container.setdefault("volumeMounts", []).append(dict(mount))
    if bare:
        spec.setdefault("volumes", []).append({"name": volume, "projected": _token_sources()})


def _token_sources() -> Object:
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    ca = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    return {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": ca},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
        ],
        "defaultMode": 0o644,
    }


def _add_tolerations(pod: Object, reader: Reader) -> None:
    tolerations = pod["spec"].get("tolerations", [])
    for key, seconds in reader.tolerations_s.items():
        if any(
            one.get("key", "") in ("", key) and one.get("effect", "") in ("", "NoExecute")
            for one in tolerations
        ):
            continue
        added = {"key": key, "operator": "Exists", "effect": "NoExecute"}
        tolerations = [*tolerations, added | {"tolerationSeconds": seconds}]
    pod["spec"]["tolerations"] = tolerations


def _add_priority(pod: Object, _reader: Reader) -> None:
    spec = pod["spec"]
    name = spec.get("priorityClassName", "")
    if name not in _PRIORITIES:
        raise _refuse_pod(pod, f"no PriorityClass with name {name} was found")
    if spec.get("priority", _PRIORITIES[name]) != _PRIORITIES[name]:
        why = (
            f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
            f"priority admission controller computed {_PRIORITIES[name]} from the given "
            "PriorityClass name"
        )
        raise _refuse_pod(pod, why)
    spec |= {"priority": _PRIORITIES[name], "preemptionPolicy": "PreemptLowerPriority"}


def _merge_label_keys(pod: Object, _reader: Reader) -> None:
    merge_label_keys(pod)


def _require_runtime_class(pod: Object, _reader: Reader) -> None:
    name = pod["spec"].get("runtimeClassName")
    if name:
        raise _refuse_pod(pod, f'pod rejected: RuntimeClass "{name}" not found')


def _enforce_pod_security(pod: Object, reader: Reader) -> None:
    """Refuse what the namespace's `enforce` level forbids, warn of what `warn` would forbid."""
    refused = _violation("enforce", pod, pod, reader)
    if refused:
        raise _refuse_pod(pod, refused)
    _warn_of_violation(pod, pod, reader)


def _warn_about_template(workload: Object, reader: Reader) -> None:
    """Say early what the workload's pods will run into; only pods are refused."""
    _warn_of_violation(workload, workload["spec"].get("template", {}), reader)


def _warn_of_violation(obj: Object, pod: Object, reader: Reader) -> None:
    if warned := _violation("warn", obj, pod, reader):
        warn(f"would {warned.replace('violates', 'violate', 1)}")


def _warn_about_pods(namespace: Object, reader: Reader) -> None:
    """Say which pods a new `enforce` level would have refused; they stay."""
    name = namespace["metadata"]["name"]
    level = _level(namespace, "enforce")
    if level == _level(reader.find("Namespace", "", name), "enforce") or level not in _LEVELS:
        return
    for pod in reader.list("Pod", name):
        reasons = violations(level, pod["metadata"], pod["spec"])
        if reasons:
            what = f'violate the new PodSecurity enforce level "{level}:latest"'
            warn(f'existing pods in namespace "{name}" {what}')
            short = ", ".join(reason.split(" (", 1)[0] for reason in reasons)
            warn(f"{pod['metadata']['name']}: {short}")


def _level(namespace: Object | None, mode: str) -> str:
    labels = namespace["metadata"].get("labels", {}) if namespace else {}
    return str(labels.get(_POD_SECURITY + mode, "privileged"))


def _violation(mode: str, obj: Object, pod: Object, reader: Reader) -> str:
    level = _level(reader.find("Namespace", "", obj["metadata"]["namespace"]), mode)
    if level not in _LEVELS:
        return ""
    found = violations(level, pod.get("metadata", {}), pod.get("spec", {}))
    return message(level, found) if found else ""


_TEMPLATED = ("Deployment", "Job", "ReplicaSet")
_ON_CREATE: dict[str, tuple[Plugin, ...]] = {
    "Pod": (_merge_label_keys, _require_runtime_class, _add_priority, _add_service_account,
            _add_tolerations, _enforce_pod_security),
} | dict.fromkeys(_TEMPLATED, (_warn_about_template,))  # fmt: skip
