"""Pod Security Standards: what `baseline` and `restricted` forbid, in Kubernetes' words.

Hides the checks. Knows one pod at a time: which level counts for a namespace is admission's
business.

Source:
    https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from collections.abc import Callable, Collection, Iterable, Sequence

from lab_utils.controlplane.status import Object

Check = Callable[[Object], str]
"""Takes a pod spec, gives the detail of what is wrong, or "" where nothing is."""
IsBad = Callable[[Object], bool]
"""Judges a security context."""

_DEFAULT_CAPABILITIES = {
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
    "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}  # fmt: skip
_SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
}  # fmt: skip
_SAFE_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip
_SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
_CONFINED = ("RuntimeDefault", "Localhost")


def violations(level: str, pod_metadata: Object, pod_spec: Object) -> list[str]:
    """Find what a level forbids.

    Args:
        level: "baseline" or "restricted".
        pod_metadata: The pod's metadata; no check of today's standards needs it.
        pod_spec: The pod's spec, or a template's.

    Returns:
        Texts like `host namespaces (hostNetwork=true)`, in Kubernetes' order; the part before the
        parenthesis is the short form.
    """
    found = ((reason, check(pod_spec)) for reason, check in _LEVELS[level])
    return [f"{reason} ({detail})" for reason, detail in found if detail]


def message(level: str, found: Sequence[str]) -> str:
    """Word the refusal of a pod: `violates PodSecurity "restricted:latest": ...`."""
    return f'violates PodSecurity "{level}:latest": ' + ", ".join(found)


def _containers(spec: Object) -> list[Object]:
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return [container for kind in kinds for container in spec.get(kind, ())]


def _security(holder: Object) -> Object:
    context: Object = holder.get("securityContext") or {}
    return context


def _quote(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _s(items: Collection[object]) -> str:
    return "s" if len(items) > 1 else ""


def _uses(items: Collection[object]) -> str:
    return "uses" if len(items) == 1 else "use"


def _name(containers: Sequence[Object], what: str = "container") -> str:
    """Write `container "a"` or `containers "a", "b"`; "" for none."""
    names = _quote(container.get("name", "") for container in containers)
    return f"{what}{_s(containers)} {names}" if containers else ""


def _bad_containers(spec: Object, is_bad: IsBad) -> str:
    return _name([container for container in _containers(spec) if is_bad(_security(container))])


def _each(text: str, is_bad: IsBad) -> Check:
    """Make a check of every container's security context."""

    def check(spec: Object) -> str:
        bad = _bad_containers(spec, is_bad)
        return f"{bad} {text}" if bad else ""

    return check


def _pod_or_each(text: str, is_bad: IsBad) -> Check:
    """Make a check of the pod's security context and every container's."""

    def check(spec: Object) -> str:
        bad = ("pod" if is_bad(_security(spec)) else "", _bad_containers(spec, is_bad))
        setters = " and ".join(filter(None, bad))
        return f"{setters} {text}" if setters else ""

    return check


def _set_somewhere(refused: Check, text: str, is_set: IsBad) -> Check:
    """Make a check that nobody says no, and the pod or every container says yes."""
    missing = _each(text, lambda context: not is_set(context))

    def check(spec: Object) -> str:
        if (problem := refused(spec)) or is_set(_security(spec)):
            return problem
        return f"pod or {missing(spec)}" if missing(spec) else ""

    return check


def _profile_type(field: str) -> Check:
    """Make a check that a profile (seccomp, AppArmor) confines."""

    def type_of(context: Object) -> str:
        kind: str = context.get(field, {}).get("type", _CONFINED[0])
        return kind

    def check(spec: Object) -> str:
        types = {type_of(_security(holder)) for holder in (spec, *_containers(spec))}
        text = (
            f"must not set securityContext.{field}.type to {_quote(sorted(types - {*_CONFINED}))}"
        )
        return _pod_or_each(text, lambda context: type_of(context) not in _CONFINED)(spec)

    return check


def _collect(
    spec: Object, find: Callable[[Object], Collection[str]]
) -> tuple[list[Object], set[str]]:
    """Find the containers that have something they must not, and all they have of it."""
    bad = [container for container in _containers(spec) if find(container)]
    return bad, {value for container in bad for value in find(container)}


def _added_capabilities(allowed: set[str]) -> Check:
    def added(container: Object) -> set[str]:
        return set(_security(container).get("capabilities", {}).get("add", ())) - allowed

    def check(spec: Object) -> str:
        bad, names = _collect(spec, added)
        text = f"must not include {_quote(sorted(names))} in securityContext.capabilities.add"
        return f"{_name(bad)} {text}" if bad else ""

    return check


_keeps_capabilities = _each(
    'must set securityContext.capabilities.drop=["ALL"]',
    lambda context: "ALL" not in context.get("capabilities", {}).get("drop", ()),
)
_adds_capabilities = _added_capabilities({"NET_BIND_SERVICE"})


def _capabilities(spec: Object) -> str:
    return "; ".join(filter(None, (_keeps_capabilities(spec), _adds_capabilities(spec))))


def _host_namespaces(spec: Object) -> str:
    shared = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    return ", ".join(f"{name}=true" for name in shared)


def _host_path_volumes(spec: Object) -> str:
    return _name([one for one in spec.get("volumes", ()) if "hostPath" in one], "volume")


def _host_ports(spec: Object) -> str:
    def taken(container: Object) -> list[str]:
        return [str(p["hostPort"]) for p in container.get("ports", ()) if p.get("hostPort")]

    bad, ports = _collect(spec, taken)
    listed = ", ".join(sorted(ports, key=int))
    return f"{_name(bad)} {_uses(bad)} hostPort{_s(ports)} {listed}" if bad else ""


def _probe_hosts(spec: Object) -> str:
    def called(container: Object) -> list[str]:
        probes = [container.get(f"{name}Probe") for name in ("liveness", "readiness", "startup")]
        handlers = [*probes, *container.get("lifecycle", {}).values()]
        actions = [(h or {}).get(name, {}) for h in handlers for name in ("httpGet", "tcpSocket")]
        return [action["host"] for action in actions if action.get("host")]

    bad, hosts = _collect(spec, called)
    text = f"probe or lifecycle host{_s(hosts)} {_quote(sorted(hosts))}"
    return f"{_name(bad)} {_uses(bad)} {text}" if bad else ""


def _sysctls(spec: Object) -> str:
    names = (sysctl.get("name", "") for sysctl in _security(spec).get("sysctls", ()))
    return ", ".join(name for name in names if name not in _SAFE_SYSCTLS)


def _selinux_is_forbidden(context: Object) -> bool:
    options = context.get("seLinuxOptions", {})
    forbidden_type = options.get("type", "") not in _SELINUX_TYPES
    return forbidden_type or bool(options.get("user")) or bool(options.get("role"))


def _restricted_volumes(spec: Object) -> str:
    bad = [one for one in spec.get("volumes", ()) if set(one) - {"name"} - _SAFE_VOLUMES]
    kinds = sorted({kind for one in bad for kind in set(one) - {"name"} - _SAFE_VOLUMES})
    text = f"restricted volume type{_s(kinds)} {_quote(kinds)}"
    return f"{_name(bad, 'volume')} {_uses(bad)} {text}" if bad else ""


_BASELINE: tuple[tuple[str, Check], ...] = (
    ("forbidden AppArmor profile", _profile_type("appArmorProfile")),
    ("non-default capabilities", _added_capabilities(_DEFAULT_CAPABILITIES)),
    ("host namespaces", _host_namespaces),
    ("hostPath volumes", _host_path_volumes),
    ("hostPort", _host_ports),
    ("probe or lifecycle host", _probe_hosts),
    ("privileged", _each(
        "must not set securityContext.privileged=true", lambda c: bool(c.get("privileged")))),
    ("procMount", _each(
        'must not set securityContext.procMount to "Unmasked"',
        lambda c: c.get("procMount", "Default") != "Default")),
    ("seLinuxOptions", _pod_or_each(
        "set forbidden securityContext.seLinuxOptions", _selinux_is_forbidden)),
    ("seccompProfile", _profile_type("seccompProfile")),
    ("forbidden sysctls", _sysctls),
    ("hostProcess", _pod_or_each(
        "must not set securityContext.windowsOptions.hostProcess=true",
        lambda c: bool(c.get("windowsOptions", {}).get("hostProcess")))),
)  # fmt: skip
_TIGHTENED = ("non-default capabilities", "hostPath volumes", "seccompProfile")
"""Checks of baseline that one of restricted takes the place of."""
_RESTRICTED: tuple[tuple[str, Check], ...] = (
    *(check for check in _BASELINE if check[0] not in _TIGHTENED),
    ("allowPrivilegeEscalation != false", _each(
        "must set securityContext.allowPrivilegeEscalation=false",
        lambda c: c.get("allowPrivilegeEscalation") is not False)),
    ("unrestricted capabilities", _capabilities),
    ("restricted volume types", _restricted_volumes),
    ("runAsNonRoot != true", _set_somewhere(
        _pod_or_each("must not set securityContext.runAsNonRoot=false",
                     lambda c: c.get("runAsNonRoot") is False),
        "must set securityContext.runAsNonRoot=true", lambda c: bool(c.get("runAsNonRoot")))),
    ("runAsUser=0", _pod_or_each(
        "must not set runAsUser=0", lambda c: c.get("runAsUser") == 0)),
    ("seccompProfile", _set_somewhere(
        _profile_type("seccompProfile"),
        'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"',
        lambda c: "seccompProfile" in c)),
)  # fmt: skip
_LEVELS = {"baseline": _BASELINE, "restricted": _RESTRICTED}
