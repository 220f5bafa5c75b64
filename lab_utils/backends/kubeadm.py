"""What a Kind configuration tells kubeadm about the cluster's pace, as the embedded cluster has it.

Reads `kubeadmConfigPatches` of the cluster and of its control-plane node in both of kubeadm's forms
of extraArgs, so that one file speeds up Kind and the embedded cluster alike. What it does not know
is named, never passed over in silence. Sources: https://kind.sigs.k8s.io/docs/user/configuration/,
https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/ and, for the kubelet,
https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lab_utils.controlplane.config import NOT_READY, UNREACHABLE, ClusterConfig
from lab_utils.errors import ManifestError
from lab_utils.yaml_source import parse

if TYPE_CHECKING:
    from lab_utils.theory import NodePace

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_AUTOSCALER = "controllerManager.horizontal-pod-autoscaler-"
_CONTROL_PLANE_ONLY = "a worker takes it from the cluster"


@dataclass(frozen=True)
class Knobs:
    """What the patches say: values for fields of ClusterConfig, and what is not known here."""

    fields: dict[str, Any]
    tolerations_s: dict[str, int]
    ignored: tuple[str, ...]

    def node_pace(self) -> "NodePace":
        """Give how soon such a cluster misses a node; what is not said is as Kubernetes has it."""
        from lab_utils.theory import NodePace

        usual = NodePace()
        renew_s = self.fields.get("node_lease_duration_s", 4 * usual.renew_s) / 4
        return NodePace(
            self.fields.get("node_monitor_grace_period_s", usual.grace_s),
            self.fields.get("node_monitor_period_s", usual.monitor_s),
            renew_s,
            self.tolerations_s.get(UNREACHABLE, usual.toleration_s),
        )

    def apply_to(self, config: ClusterConfig) -> ClusterConfig:
        """Give the settings with what the patches change."""
        tolerations_s = config.default_tolerations_s | self.tolerations_s
        return replace(config, default_tolerations_s=tolerations_s, **self.fields)


def read_knobs(content: dict[str, Any], where: str) -> Knobs:
    """Read the patches of a Kind configuration; of two that say the same the later one counts.

    Args:
        content: The configuration, as topology.read_cluster_file() gives it.
        where: The file's name, for messages.

    Raises:
        ManifestError: A patch is no YAML, or a value is none that kubeadm would take.
    """
    fields: dict[str, Any] = {}
    tolerations_s: dict[str, int] = {}
    ignored = []
    for name, value, is_worker in _settings(content, where):
        if is_worker or name not in _KNOBS:
            why = _CONTROL_PLANE_ONLY if is_worker and name in _KNOBS else "not known here"
            ignored.append(f"{name} ({why})")
            continue
        target, read = _KNOBS[name]
        try:
            seen = read(value)
        except ValueError as exc:
            message = f"{where}: kubeadmConfigPatches: {name} is {value!r}: want {exc}."
            raise ManifestError(message) from exc
        (tolerations_s if target in (NOT_READY, UNREACHABLE) else fields)[target] = seen
    return Knobs(fields, tolerations_s, tuple(ignored))


def _settings(content: dict[str, Any], where: str) -> Iterator[tuple[str, Any, bool]]:
    """Give name, value and "is said of a worker only" of every setting in the patches."""
    nodes = content.get("nodes") or []
    for place, is_worker in [(content, False), *((n, n.get("role") == "worker") for n in nodes)]:
        for patch in place.get("kubeadmConfigPatches") or ():
            for document in parse(patch, f"{where}: kubeadmConfigPatches"):
                if not isinstance(document.value, dict):
                    raise ManifestError(f"{where}: a kubeadmConfigPatch is no mapping: {patch!r}.")
                for name, value in _named(document.value, where):
                    yield name, value, is_worker
        for _ in place.get("kubeadmConfigPatchesJSON6902") or ():
            yield "kubeadmConfigPatchesJSON6902", None, is_worker


def _named(patch: dict[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    """Name the settings of one patch: `controllerManager.node-monitor-period`, `maxPods`."""
    kind = patch.get("kind")
    for key, value in patch.items():
        if key in ("apiVersion", "kind", "metadata"):
            continue
        if kind != "ClusterConfiguration" or not isinstance(value, dict):
            yield (key if kind == "KubeletConfiguration" else f"{kind}.{key}"), value
            continue
        for name, inner in value.items():
            if name != "extraArgs":
                yield f"{key}.{name}", inner
                continue
            for argument, given in _arguments(inner, f"{where}: {key}.extraArgs"):
                yield f"{key}.{argument}", given


def _arguments(given: Any, where: str) -> Iterator[tuple[str, str]]:
    """Read extraArgs: a list of name and value (v1beta4), or a mapping (v1beta3)."""
    try:
        pairs = (
            given.items() if isinstance(given, dict) else [(a["name"], a["value"]) for a in given]
        )
    except (TypeError, KeyError) as exc:
        wanted = "want `- name: ...` with `value: ...`, or `NAME: VALUE`"
        raise ManifestError(f"{where}: {given!r}: {wanted}.") from exc
    for name, value in pairs:
        if not isinstance(value, str):
            quoted = str(value).lower() if isinstance(value, bool) else value
            message = (
                f'{where}: {name} is {value!r}, and kubeadm takes text only: write "{quoted}".'
            )
            raise ManifestError(message)
        yield name, value


def _duration_s(value: object) -> float:
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise ValueError("a duration such as 50s or 1m30s")
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(value))
    if seconds <= 0:
        raise ValueError("a duration of more than nothing")
    return seconds


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ValueError("a whole number from 1 on, without quotes")
    return value


def _seconds(value: str) -> int:
    if not value.isdecimal():
        raise ValueError("whole seconds, in quotes")
    return int(value)


def _share(value: str) -> float:
    if not re.fullmatch(r"0?\.\d+|0", value):
        raise ValueError("a share such as 0.1, in quotes")
    return float(value)


_KNOBS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "controllerManager.node-monitor-period": ("node_monitor_period_s", _duration_s),
    "controllerManager.node-monitor-grace-period": ("node_monitor_grace_period_s", _duration_s),
    f"{_AUTOSCALER}sync-period": ("hpa_sync_period_s", _duration_s),
    f"{_AUTOSCALER}downscale-stabilization": ("hpa_downscale_stabilization_s", _duration_s),
    f"{_AUTOSCALER}cpu-initialization-period": ("hpa_cpu_initialization_s", _duration_s),
    f"{_AUTOSCALER}initial-readiness-delay": ("hpa_initial_readiness_s", _duration_s),
    f"{_AUTOSCALER}tolerance": ("hpa_tolerance", _share),
    "apiServer.default-not-ready-toleration-seconds": (NOT_READY, _seconds),
    "apiServer.default-unreachable-toleration-seconds": (UNREACHABLE, _seconds),
    "nodeLeaseDurationSeconds": ("node_lease_duration_s", _whole),
    "nodeStatusUpdateFrequency": ("node_status_update_s", _duration_s),
    "maxPods": ("max_pods", _whole),
}
"""Where a setting goes: a field of ClusterConfig, or the taint that is tolerated so long."""
