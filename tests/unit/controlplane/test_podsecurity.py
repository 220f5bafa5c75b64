import pytest

from lab_utils.controlplane.podsecurity import message, violations
from tests.tools.golden import Create, creates

LEVELS = {"rstr": "restricted", "bsl": "baseline"}


def security(pod: dict | None = None, **container: object) -> dict:
    """Write a spec with these security contexts."""
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}} | container
    good = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    one = {"name": "c", "securityContext": context}
    return {"securityContext": good if pod is None else pod, "containers": [one]}


@pytest.mark.fault(38)
@pytest.mark.parametrize("case", [c for c in creates(201, 403) if c.values[0].namespace in LEVELS])
def test_pod_security_answers_as_a_real_cluster_does(case: Create):
    level = LEVELS[case.namespace]
    spec = case.body["spec"]["template"]["spec"] if case.kind == "Deployment" else case.body["spec"]
    found = violations(level, {}, spec)
    refusal = f'pods "x" is forbidden: {message(level, found)}' if found else None
    assert (refusal if case.kind == "Pod" else None) == case.response.get("message")


def test_a_spec_that_meets_the_restricted_standard_is_fine():
    assert violations("restricted", {}, security()) == []


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (security(capabilities={"add": ["SYS_ADMIN"]}),
         'non-default capabilities (container "c" must not include "SYS_ADMIN" in '
         "securityContext.capabilities.add)"),
        (security(procMount="Unmasked"),
         'procMount (container "c" must not set securityContext.procMount to "Unmasked")'),
        (security({"sysctls": [{"name": "kernel.msgmax"}]}), "forbidden sysctls (kernel.msgmax)"),
        (security({"seccompProfile": {"type": "Unconfined"}}),
         'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")'),
        ({"containers": [{"name": "c", "livenessProbe": {"httpGet": {"host": "example.com"}}}]},
         'probe or lifecycle host (container "c" uses probe or lifecycle host "example.com")'),
        ({"containers": [{"name": "a", "ports": [{"hostPort": 90}]},
                         {"name": "b", "ports": [{"hostPort": 80}]}]},
         'hostPort (containers "a", "b" use hostPorts 80, 90)'),
    ],
    ids=["capabilities", "procMount", "sysctl", "seccomp", "probe host", "hostPort"],
)  # fmt: skip
def test_what_baseline_forbids(spec, text):
    assert violations("baseline", {}, spec) == [text]


def test_who_says_no_outright_is_named_before_who_says_nothing():
    spec = security({"runAsNonRoot": False, "seccompProfile": {"type": "Localhost"}})
    assert violations("restricted", {}, spec) == [
        "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)"
    ]
