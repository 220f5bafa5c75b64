"""What each field of each type may hold: one row per field, in the order of Kubernetes' causes.

A field without a row may hold anything of its type; the rows of the types inside it still count.
"""

from collections.abc import Mapping
from types import MappingProxyType

from lab_utils.controlplane.validation import formats, objects, pods
from lab_utils.controlplane.validation.checks import (
    Check,
    annotations,
    any_value,
    at_least_zero,
    count_or_percent,
    distinct,
    each,
    labels,
    needed,
    number,
    one_of,
    port,
    port_number,
    share,
    text,
)

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_MAX_INT32 = 2**31 - 1
_dns_label = text(formats.dns_label)
_ip_address = text(formats.ip_address, absent="")
_protocol = one_of(*_PROTOCOLS)
_user = number(0, f"must be between 0 and {_MAX_INT32}, inclusive", _MAX_INT32)
_weight = number(1, "must be in the range 1-100", 100, absent=0)
_mode = number(0, "must be a number between 0 and 0777 (octal), both inclusive", 0o777)
_key_of = {
    "name": text(formats.dns_subdomain, absent=""), "key": needed(text(formats.config_key)),
}  # fmt: skip

FIELDS: Mapping[str, Mapping[str, Check]] = MappingProxyType({
    "V1ObjectMeta": {
        "labels": labels, "annotations": annotations, "ownerReferences": objects.owners,
        "finalizers": each(objects.finalizer),
    },
    "V1LabelSelector": {"matchLabels": labels},
    "V1LabelSelectorRequirement": {"": objects.requirement},
    # Pods
    "V1PodSpec": {
        "volumes": distinct("name"), "containers": needed(), "": pods.pod_spec,
        "initContainers": any_value, "restartPolicy": one_of("Always", "OnFailure", "Never"),
        "dnsPolicy": one_of("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"),
        "nodeSelector": labels, "securityContext": any_value, "affinity": any_value,
        "activeDeadlineSeconds": number(
            1, f"must be between 1 and {_MAX_INT32}, inclusive", _MAX_INT32),
        "hostname": _dns_label, "subdomain": _dns_label, "ephemeralContainers": pods.ephemeral,
    },
    "V1Container": {
        "name": needed(_dns_label), "image": needed(text(formats.trimmed)),
        "terminationMessagePolicy": one_of("File", "FallbackToLogsOnError"),
        "ports": distinct("name"), "envFrom": pods.env_from, "volumeMounts": pods.mounts,
        "imagePullPolicy": one_of("Always", "IfNotPresent", "Never"),
        "resources": pods.resources,
    },
    "V1ContainerPort": {
        "name": text(formats.port_name), "containerPort": needed(port_number),
        "hostPort": number(1, "must be between 1 and 65535, inclusive", 65535),
        "protocol": _protocol,
    },
    "V1EnvVar": {"name": needed(text(formats.env_name)), "": pods.env_variable},
    "V1EnvVarSource": {"": pods.env_source, "fieldRef": pods.field_ref},
    "V1ConfigMapKeySelector": _key_of,
    "V1SecretKeySelector": _key_of,
    "V1ResourceFieldSelector": {"resource": needed(one_of(*(
        f"{side}.{name}" for side in ("limits", "requests")
        for name in ("cpu", "ephemeral-storage", "memory"))))},
    "V1Lifecycle": {"postStart": pods.handler, "preStop": pods.handler},
    "V1Probe": {"": pods.probe, **dict.fromkeys((
        "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold",
        "failureThreshold"), at_least_zero)},
    "V1ExecAction": {"command": needed()},
    "V1HTTPGetAction": {
        "port": port, "scheme": one_of("HTTP", "HTTPS"), "httpHeaders": pods.http_headers,
    },
    "V1TCPSocketAction": {"port": port},
    "V1GRPCAction": {"port": port_number},
    "V1PodSecurityContext": dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), _user),
    "V1SecurityContext": {
        "runAsUser": _user, "runAsGroup": _user, "": pods.security_context,
    },
    "V1SeccompProfile": {"": pods.seccomp_profile},
    "V1HostAlias": {"ip": _ip_address},
    # Volumes
    "V1Volume": {"name": needed(_dns_label), "": pods.volume},
    "V1VolumeMount": {"name": needed(), "mountPath": needed()},
    "V1ConfigMapVolumeSource": {"name": needed(), "defaultMode": _mode},
    "V1SecretVolumeSource": {"secretName": needed(), "defaultMode": _mode},
    "V1DownwardAPIVolumeSource": {"defaultMode": _mode},
    "V1ProjectedVolumeSource": {"defaultMode": _mode},
    "V1EmptyDirVolumeSource": {"sizeLimit": pods.size_limit},
    "V1HostPathVolumeSource": {"path": needed(text(formats.path))},
    "V1KeyToPath": {"path": text(formats.relative_path)},
    # Scheduling
    "V1NodeSelectorRequirement": {"": objects.node_requirement},
    "V1PreferredSchedulingTerm": {"weight": _weight},
    "V1WeightedPodAffinityTerm": {"weight": _weight},
    "V1PodAffinityTerm": {"labelSelector": any_value, "topologyKey": pods.topology_key},
    "V1TopologySpreadConstraint": {
        "maxSkew": number(1, "must be greater than zero", absent=0),
        "topologyKey": pods.topology_key,
        "whenUnsatisfiable": one_of("DoNotSchedule", "ScheduleAnyway", absent=""),
    },
    "V1Toleration": {
        "key": text(formats.qualified_name), "": pods.toleration,
        "operator": one_of("Equal", "Exists"),
        "effect": one_of("NoSchedule", "PreferNoSchedule", "NoExecute"),
    },
    # Workloads
    "V1DeploymentSpec": {
        "replicas": at_least_zero, "selector": needed(),
        "": objects.workload("deployment"), "template": any_value, "strategy": any_value,
        "minReadySeconds": at_least_zero, "revisionHistoryLimit": at_least_zero,
        "progressDeadlineSeconds": at_least_zero,
    },
    "V1ReplicaSetSpec": {
        "replicas": at_least_zero, "minReadySeconds": at_least_zero,
        "selector": needed(), "": objects.workload("replicaset"),
    },
    "V1DeploymentStrategy": {"": objects.strategy},
    "V1RollingUpdateDeployment": {
        "maxUnavailable": share, "maxSurge": count_or_percent, "": objects.rolling_update,
    },
    "V1PodDisruptionBudgetSpec": {
        "": objects.disruption_budget, "minAvailable": share, "maxUnavailable": share,
        "selector": any_value,
        "unhealthyPodEvictionPolicy": one_of("AlwaysAllow", "IfHealthyBudget"),
    },
    "V1LeaseSpec": {
        "leaseDurationSeconds": number(1, "must be greater than 0"),
        "leaseTransitions": at_least_zero,
    },
    # Networking
    "V1ServiceSpec": {
        "": objects.service, "ports": any_value, "selector": labels,
        "sessionAffinity": one_of("ClientIP", "None"),
        "type": one_of("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"),
    },
    "V1ServicePort": {
        "name": _dns_label, "port": port_number, "protocol": _protocol, "targetPort": port,
    },
    "V1EndpointSlice": {
        "metadata": any_value, "addressType": needed(one_of("FQDN", "IPv4", "IPv6")),
    },
    "V1IPBlock": {"cidr": text(formats.cidr, absent="")},
    "V1NetworkPolicySpec": {
        "podSelector": any_value, "ingress": any_value, "egress": any_value,
        "policyTypes": each(one_of("Ingress", "Egress")),
    },
    # The rest
    "V1Namespace": {"metadata": any_value, "": objects.namespace},
    "V1ConfigMap": {"metadata": any_value, "": objects.config_map},
    "V1Secret": {"metadata": any_value, "": objects.secret},
    "CoreV1Event": {"metadata": any_value, "": objects.event},
})  # fmt: skip
"""Type -> field -> check; the field "" is the value as a whole."""
