"""What Kubernetes adds to an object that leaves a field out.

Hides the tables of defaults. Never allocates (uid, clusterIP, nodePort) and never reads another
object: the same input always gives the same output.
"""

import base64
import copy
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from lab_utils.controlplane import shapes
from lab_utils.controlplane.status import Object

DEFAULTS: Mapping[str, Object] = MappingProxyType({
    "V1PodSpec": {
        "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
        "securityContext": {}, "schedulerName": "default-scheduler",
    },
    "V1Container": {
        "resources": {}, "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    },
    "V1ContainerPort": {"protocol": "TCP"},
    "V1Probe": {
        "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
    },
    "V1HTTPGetAction": {"path": "/", "scheme": "HTTP"},
    "V1GRPCAction": {"service": ""},
    "V1ObjectFieldSelector": {"apiVersion": "v1"},
    "V1ConfigMapVolumeSource": {"defaultMode": 0o644},
    "V1SecretVolumeSource": {"defaultMode": 0o644},
    "V1DownwardAPIVolumeSource": {"defaultMode": 0o644},
    "V1ProjectedVolumeSource": {"defaultMode": 0o644},
    "V1ServiceAccountTokenProjection": {"expirationSeconds": 3600},
    "V1HostPathVolumeSource": {"type": ""},
    "V1PersistentVolumeClaimSpec": {"volumeMode": "Filesystem"},
    "V1PersistentVolumeClaimTemplate": {"metadata": {}},
    "V1ResourceFieldSelector": {"divisor": "0"},
    "V1ServicePort": {"protocol": "TCP"},
    "V1ServiceSpec": {"type": "ClusterIP", "sessionAffinity": "None"},
    "V1Service": {"spec": {}, "status": {"loadBalancer": {}}},
    "V1Secret": {"type": "Opaque"},
    "V1Deployment": {"spec": {}, "status": {}},
    "V1DeploymentSpec": {
        "replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, "strategy": {},
        "template": {},
    },
    "V1DeploymentStrategy": {"type": "RollingUpdate"},
    "V1ReplicaSet": {"spec": {}, "status": {"replicas": 0}},
    "V1ReplicaSetSpec": {"replicas": 1},
    "V1PodTemplateSpec": {"metadata": {}, "spec": {}},
    "V1Job": {"spec": {}, "status": {}},
    "V1JobSpec": {
        "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed",
        "manualSelector": False, "suspend": False, "podReplacementPolicy": "TerminatingOrFailed",
        "template": {},
    },
    "V2HorizontalPodAutoscaler": {"spec": {}, "status": {}},
    "V2HorizontalPodAutoscalerSpec": {"minReplicas": 1, "metrics": [{
        "type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
    }]},
    "V2HorizontalPodAutoscalerBehavior": {
        "scaleUp": {"stabilizationWindowSeconds": 0, "policies": [
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ]},
        "scaleDown": {"policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]},
    },
    "V2HPAScalingRules": {"selectPolicy": "Max"},
    "V2HorizontalPodAutoscalerStatus": {"desiredReplicas": 0, "currentMetrics": None},
    "V1Lease": {"spec": {}},
    "V1NetworkPolicy": {"spec": {}},
    "V1NetworkPolicySpec": {"podSelector": {}},
    "V1PodCondition": {"lastProbeTime": None},
    "V1PodDisruptionBudget": {"spec": {}, "status": {
        "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0,
    }},
    "CoreV1EndpointPort": {"protocol": "TCP"},
    "DiscoveryV1EndpointPort": {"name": "", "protocol": "TCP"},
    "V1Endpoint": {"conditions": {}},
    "V1NetworkPolicyPort": {"protocol": "TCP"},
    "CoreV1Event": {
        "source": {}, "firstTimestamp": None, "lastTimestamp": None, "eventTime": None,
        "reportingComponent": "", "reportingInstance": "",
    },
    "V1Node": {"spec": {}, "status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}}},
})  # fmt: skip
"""Type -> field -> value where the field is absent, whatever else the object says."""


def set_defaults(kind: str, obj: Object) -> Object:
    """Give an object that has passed `schema.drop_unknown` with what its client left out.

    Source:
        https://github.com/kubernetes/kubernetes/tree/v1.36.0/pkg/apis (defaults.go of each group)
    """
    result = copy.deepcopy(obj)
    _fill(shapes.type_of(kind).name, result)
    return result


def _fill(type_name: str, value: Any) -> None:
    """Fill one value: first the rules that look at several fields, then the table, then inside."""
    if isinstance(value, list):
        for item in value:
            _fill(type_name.removeprefix("[]"), item)
        return
    if type_name.startswith("{}") or not isinstance(value, dict):
        return
    rule = _RULES.get(type_name)
    if rule is not None:
        rule(value)
    for name, default in DEFAULTS.get(type_name, {}).items():
        if name not in value:
            value[name] = copy.deepcopy(default)
    for name, field in shapes.fields(type_name).items():
        if name in value:
            _fill(field.type, value[name])


def _container(container: Object) -> None:
    image = container.get("image", "")
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    is_latest = "@" not in image and tag in ("", "latest")
    container.setdefault("imagePullPolicy", "Always" if is_latest else "IfNotPresent")


def _pod(pod: Object) -> None:
    """Fill what only a pod gets, not the template of one."""
    spec = pod.setdefault("spec", {})
    spec.setdefault("enableServiceLinks", True)
    for container in spec.get("containers", []) + spec.get("initContainers", []):
        resources = container.get("resources", {})
        if resources.get("limits"):
            resources["requests"] = resources["limits"] | resources.get("requests", {})
        for port in container.get("ports", []) if spec.get("hostNetwork") else []:
            port.setdefault("hostPort", port.get("containerPort"))
    status = pod.setdefault("status", {})
    status.setdefault("phase", "Pending")
    status.setdefault("qosClass", qos_class(spec))


def _pod_spec(spec: Object) -> None:
    if name := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def _volume(volume: Object) -> None:
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}


def _strategy(strategy: Object) -> None:
    if strategy.get("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")


def _job(job: Object) -> None:
    """Give a Job without labels those of its pods."""
    labels = job.get("spec", {}).get("template", {}).get("metadata", {}).get("labels")
    metadata = job.setdefault("metadata", {})
    if labels and not metadata.get("labels"):
        metadata["labels"] = dict(labels)


def _job_spec(spec: Object) -> None:
    if "parallelism" not in spec:
        spec.setdefault("completions", 1)
    if "backoffLimitPerIndex" in spec:
        spec.setdefault("backoffLimit", 2**31 - 1)
    if "podFailurePolicy" in spec:
        spec.setdefault("podReplacementPolicy", "Failed")


def _scaling_behavior(behavior: Object) -> None:
    """Complete what one direction says with the defaults of that direction."""
    for direction, rules in DEFAULTS["V2HorizontalPodAutoscalerBehavior"].items():
        behavior[direction] = copy.deepcopy(rules) | behavior.get(direction, {})


def _service_spec(spec: Object) -> None:
    kind = spec.get("type", "ClusterIP")
    for port in spec.get("ports", []):
        port.setdefault("targetPort", port.get("port", 0))
    if spec.get("sessionAffinity") == "ClientIP":
        client = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        client.setdefault("timeoutSeconds", 10800)
    if kind == "ExternalName":
        return
    spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def _network_policy_spec(spec: Object) -> None:
    types = ["Ingress"] + (["Egress"] if spec.get("egress") else [])
    spec.setdefault("policyTypes", types)


def _secret(secret: Object) -> None:
    for key, text in secret.pop("stringData", {}).items():
        secret.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()


def _namespace(namespace: Object) -> None:
    metadata = namespace.setdefault("metadata", {})
    if metadata.get("name"):
        metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = metadata["name"]
    if "deletionTimestamp" not in metadata:
        namespace.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
        namespace.setdefault("status", {}).setdefault("phase", "Active")


_RULES: Mapping[str, Callable[[Object], None]] = MappingProxyType({
    "V1Container": _container, "V1Pod": _pod, "V1PodSpec": _pod_spec, "V1Volume": _volume,
    "V1DeploymentStrategy": _strategy, "V1Job": _job, "V1JobSpec": _job_spec,
    "V2HorizontalPodAutoscalerBehavior": _scaling_behavior,
    "V1ServiceSpec": _service_spec, "V1NetworkPolicySpec": _network_policy_spec,
    "V1Secret": _secret, "V1Namespace": _namespace,
})  # fmt: skip
"""Defaults that depend on what the object says elsewhere."""


def qos_class(spec: Object) -> str:
    """Name a pod's quality of service: Guaranteed, Burstable or BestEffort.

    Source:
        https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/
    """
    resources = [
        container.get("resources", {})
        for container in spec.get("containers", []) + spec.get("initContainers", [])
    ]
    if not any(one.get("limits") or one.get("requests") for one in resources):
        return "BestEffort"
    wanted = {"cpu", "memory"}
    guaranteed = all(
        wanted <= set(one.get("limits", {}))
        and all(
            one.get("requests", {}).get(r, one["limits"][r]) == one["limits"][r] for r in wanted
        )
        for one in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"
