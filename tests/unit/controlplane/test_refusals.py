"""Mistakes that a real server refuses and no recording holds: each is refused at its field."""

from typing import Any

import pytest

from lab_utils.controlplane import schema
from lab_utils.controlplane.defaults import set_defaults
from lab_utils.controlplane.joblabels import select_own_pods
from lab_utils.controlplane.validation import validate

C = {"name": "c", "image": "i"}
PROBE = {"httpGet": {"port": 80}}
TARGET = {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}
ODD = {"matchExpressions": [{"key": "a", "operator": "X"}]}


def refused_at(kind: str, obj: dict[str, Any]) -> set[str]:
    """List the fields that are refused."""
    whole = {"kind": kind, "metadata": {"name": "x", "namespace": "ref", "uid": "0"}} | obj
    read = schema.drop_unknown(kind, whole)
    if kind == "Job":
        select_own_pods(read)
    return {cause.field for cause in validate(kind, set_defaults(kind, read), None)}


def selected_by(terms: list[Any]) -> dict[str, Any]:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {"affinity": {"nodeAffinity": required}}


def spread(**more: Any) -> dict[str, Any]:
    return {"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule"} | more


def volume(**source: Any) -> dict[str, Any]:
    return {"volumes": [{"name": "v"} | source]}


POD = [
    (selected_by([]), "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
                      ".nodeSelectorTerms"),
    ({"dnsPolicy": "None"}, "spec.dnsConfig.nameservers"),
    ({"dnsConfig": {"nameservers": ["x"]}}, "spec.dnsConfig.nameservers[0]"),
    ({"hostAliases": [{"ip": "1.2.3.4", "hostnames": ["A B"]}]},
     "spec.hostAliases[0].hostnames[0]"),
    ({"topologySpreadConstraints": [spread(), spread()]},
     "spec.topologySpreadConstraints[1].{topologyKey, whenUnsatisfiable}"),
    ({"topologySpreadConstraints": [spread(minDomains=0)]},
     "spec.topologySpreadConstraints[0].minDomains"),
    ({"topologySpreadConstraints": [spread(minDomains=2, whenUnsatisfiable="ScheduleAnyway")]},
     "spec.topologySpreadConstraints[0].minDomains"),
    ({"nodeName": "A_b"}, "spec.nodeName"),
    ({"serviceAccountName": "A_b"}, "spec.serviceAccountName"),
    ({"priorityClassName": "A_b"}, "spec.priorityClassName"),
    ({"hostname": "A_"}, "spec.hostname"),
    ({"activeDeadlineSeconds": 0}, "spec.activeDeadlineSeconds"),
    ({"readinessGates": [{"conditionType": "a b"}]}, "spec.readinessGates[0].conditionType"),
    ({"hostNetwork": True, "containers": [C | {"ports": [{"containerPort": 80, "hostPort": 81}]}]},
     "spec.containers[0].ports[0].containerPort"),
    ({"initContainers": [{"name": "i", "image": "i", "readinessProbe": PROBE}]},
     "spec.initContainers[0].readinessProbe"),
    ({"initContainers": [{"name": "i", "image": "i", "lifecycle": {
        "preStop": {"exec": {"command": ["a"]}}}}]}, "spec.initContainers[0].lifecycle"),
    ({"securityContext": {"fsGroupChangePolicy": "X"}}, "spec.securityContext.fsGroupChangePolicy"),
    ({"securityContext": {"supplementalGroups": [-1]}},
     "spec.securityContext.supplementalGroups[0]"),
    ({"securityContext": {"seccompProfile": {"type": "X"}}},
     "spec.securityContext.seccompProfile.type"),
    ({"securityContext": {"seccompProfile": {"type": "RuntimeDefault", "localhostProfile": "a"}}},
     "spec.securityContext.seccompProfile.localhostProfile"),
    (volume(projected={"sources": [{"secret": {"name": "a"}, "configMap": {"name": "b"}}]}),
     "spec.volumes[0].projected.sources[0].configMap"),
    (volume(downwardAPI={"items": [{"path": "a", "fieldRef": {"fieldPath": "spec.foo"}}]}),
     "spec.volumes[0].downwardAPI.items[0].fieldRef.fieldPath"),
    (volume(downwardAPI={"items": [{"path": "a"}]}), "spec.volumes[0].downwardAPI.items[0]"),
    (volume(configMap={"name": "a", "items": [{"path": "a"}]}),
     "spec.volumes[0].configMap.items[0].key"),
]  # fmt: skip
CONTAINER = [
    ({"envFrom": [{"configMapRef": {"name": "A B"}}]}, "envFrom[0].configMapRef.name"),
    ({"envFrom": [{"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}]}, "envFrom"),
    ({"envFrom": [{"prefix": "=", "configMapRef": {"name": "a"}}]}, "envFrom[0].prefix"),
    (
        {"livenessProbe": PROBE | {"terminationGracePeriodSeconds": 0}},
        "livenessProbe.terminationGracePeriodSeconds",
    ),
    ({"livenessProbe": PROBE | {"timeoutSeconds": -1}}, "livenessProbe.timeoutSeconds"),
    ({"lifecycle": {"preStop": {"sleep": {"seconds": -1}}}}, "lifecycle.preStop.sleep.seconds"),
    ({"lifecycle": {"preStop": {"sleep": {"seconds": 99}}}}, "lifecycle.preStop.sleep.seconds"),
]
SERVICE = [
    ({"ports": [{"name": "a", "port": 80}, {"name": "a", "port": 81}]}, "ports[1].name"),
    ({"type": "NodePort", "ports": [{"name": "a", "port": 80, "nodePort": 30001},
                                    {"name": "b", "port": 81, "nodePort": 30001}]},
     "ports[1].nodePort"),
    ({"ports": [{"port": 80, "appProtocol": "a b"}]}, "ports[0].appProtocol"),
    ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}},
     "sessionAffinityConfig.clientIP.timeoutSeconds"),
    ({"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}}, "sessionAffinityConfig"),
    ({"type": "ExternalName", "externalName": "A B"}, "externalName"),
    ({"externalIPs": ["x"]}, "externalIPs[0]"),
    ({"externalIPs": ["127.0.0.1"]}, "externalIPs[0]"),
    ({"type": "NodePort", "externalTrafficPolicy": "X"}, "externalTrafficPolicy"),
    ({"internalTrafficPolicy": "X"}, "internalTrafficPolicy"),
    ({"loadBalancerSourceRanges": ["1.2.3.4/8"]}, "loadBalancerSourceRanges"),
    ({"ipFamilies": ["X"]}, "ipFamilies[0]"),
]  # fmt: skip
RULE = {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [1]}}
JOB = [
    ({"ttlSecondsAfterFinished": -1}, "spec.ttlSecondsAfterFinished"),
    ({"completionMode": "X"}, "spec.completionMode"),
    ({"maxFailedIndexes": 1}, "spec.backoffLimitPerIndex"),
    ({"backoffLimitPerIndex": 1}, "spec.backoffLimitPerIndex"),
    ({"successPolicy": {"rules": [{"succeededCount": 1}]}}, "spec.successPolicy"),
    ({"podFailurePolicy": {"rules": [RULE | {"action": "X"}]}},
     "spec.podFailurePolicy.rules[0].action"),
    ({"podFailurePolicy": {"rules": [{"action": "Ignore"}]}}, "spec.podFailurePolicy.rules[0]"),
    ({"podFailurePolicy": {"rules": [RULE | {"onExitCodes": {"operator": "In", "values": [0]}}]}},
     "spec.podFailurePolicy.rules[0].onExitCodes.values[0]"),
]  # fmt: skip
RULES = {
    "Deployment": [({"minReadySeconds": -1}, "spec.minReadySeconds")],
    "PodDisruptionBudget": [
        ({"minAvailable": -1}, "spec.minAvailable"),
        ({"minAvailable": 1, "selector": ODD}, "spec.selector.matchExpressions[0].operator"),
    ],
    "NetworkPolicy": [
        ({"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}]},
         "spec.ingress[0].from[0]"),
        ({"ingress": [{"from": [{}]}]}, "spec.ingress[0].from[0]"),
        ({"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]}]},
         "spec.ingress[0].from[0].ipBlock.except[0]"),
        ({"ingress": [{"ports": [{"port": 0}]}]}, "spec.ingress[0].ports[0].port"),
        ({"ingress": [{"ports": [{"port": 80, "endPort": 70}]}]},
         "spec.ingress[0].ports[0].endPort"),
        ({"policyTypes": ["Ingress", "Egress", "Ingress"]}, "spec.policyTypes"),
    ],
    "Lease": [({"leaseDurationSeconds": 0}, "spec.leaseDurationSeconds")],
    "Node": [
        ({"taints": [{"key": "a", "effect": "X"}]}, "spec.taints[0].effect"),
        ({"taints": [{"key": "a"}]}, "spec.taints[0].effect"),
        ({"taints": [{"key": "a b", "effect": "NoSchedule"}]}, "spec.taints[0].key"),
        ({"taints": [{"key": "a", "effect": "NoSchedule"}] * 2}, "spec.taints[1]"),
    ],
    "HorizontalPodAutoscaler": [
        ({"maxReplicas": 3, "scaleTargetRef": TARGET | {"kind": "A/b"}},
         "spec.scaleTargetRef.kind"),
        ({"maxReplicas": 3, "scaleTargetRef": TARGET | {"name": ""}}, "spec.scaleTargetRef.name"),
        ({"maxReplicas": 3, "scaleTargetRef": TARGET, "metrics": [{"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 0}}}]},
         "spec.metrics[0].resource.target.averageUtilization"),
    ],
}  # fmt: skip
WHOLE = [
    ("EndpointSlice", {"addressType": "IPv4", "endpoints": [{"addresses": []}]},
     "endpoints[0].addresses"),
    ("EndpointSlice", {"addressType": "IPv4", "endpoints": [{"addresses": ["x"]}]},
     "endpoints[0].addresses[0]"),
    ("EndpointSlice", {"addressType": "IPv4", "ports": [{"name": "A_", "port": 80}]},
     "ports[0].name"),
    ("Endpoints", {"subsets": [{"addresses": [{"ip": "x"}]}]}, "subsets[0].addresses[0].ip"),
    ("Endpoints", {"subsets": [{"ports": [{"port": 80}]}]}, "subsets[0]"),
    ("Secret", {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "YQ=="}},
     "data[.dockerconfigjson]"),
    ("Secret", {"type": "kubernetes.io/basic-auth"}, "data[username]"),
]  # fmt: skip
TEMPLATE = {"template": {"spec": {"containers": [C], "restartPolicy": "Never"}}}
CASES = [
    *(("Pod", {"spec": {"containers": [C]} | spec}, field) for spec, field in POD),
    *(("Pod", {"spec": {"containers": [C | part]}}, f"spec.containers[0].{field}")
      for part, field in CONTAINER),
    *(("Service", {"spec": {"ports": [{"port": 80}]} | spec}, f"spec.{field}")
      for spec, field in SERVICE),
    *(("Job", {"spec": TEMPLATE | spec}, field) for spec, field in JOB),
    *((kind, {"spec": spec}, field) for kind, rules in RULES.items() for spec, field in rules),
    *WHOLE,
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "obj", "field"), [pytest.param(*case, id=f"{case[0]}-{case[2]}") for case in CASES]
)
def test_a_mistake_is_refused_at_its_field(kind: str, obj: dict[str, Any], field: str) -> None:
    assert field in refused_at(kind, obj)
