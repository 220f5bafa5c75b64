"""Pod Security Standards: what `baseline` and `restricted` forbid, in Kubernetes' words.

Hides the checks. Knows one pod at a time: which level counts for a namespace is admission's
business.

Source:
    https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from collections.abc import Callable, Iterable, Sequence

from lab_utils.controlplane.status import Object

Check = Callable[[Object], str]
"""Takes a pod spec, gives the detail of what is wrong, or "" where nothing is."""

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
    return [
        *spec.get("initContainers", ()),
        *spec.get("containers", ()),
        *spec.get("ephemeralContainers", ()),
    ]


def _security(holder: Object) -> Object:
    context: Object = holder.get("securityContext") or {}
    return context


def _quote(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _name(containers: Sequence[Object]) -> str:
    """Write `container "a"` or `containers "a", "b"`; "" for none."""
    plural = "s" if len(containers) > 1 else ""
    return (
        f"container{plural} {_quote(c.get('name', '') for c in containers)}" if containers else ""
    )


def _each(text: str, is_bad: Callable[[Object], bool]) -> Check:
    """Make a check of every container's security context."""

    def check(spec: Object) -> str:
        bad = [container for container in _containers(spec) if is_bad(_security(container))]
        return f"{_name(bad)} {text}" if bad else ""

    return check


def _pod_or_containers(text: str, is_bad: Callable[[Object], bool]) -> Check:
    """Make a check of the pod's security context and every container's."""

    def check(spec: Object) -> str:
        bad = [container for container in _containers(spec) if is_bad(_security(container))]
        setters = [who for who in ("pod" if is_bad(_security(spec)) else "", _name(bad)) if who]
        return f"{' and '.join(setters)} {text}" if setters else ""

    return check


def _profile_type(field: str, allowed: Sequence[str], name: str) -> Check:
    """Make a check that a profile (seccomp, AppArmor) is not of another type."""

    def check(spec: Object) -> str:
        holders = [spec, *_containers(spec)]
        types = {_security(holder).get(field, {}).get("type", allowed[0]) for holder in holders}
        bad = sorted(types - set(allowed))
        return _pod_or_containers(
            f"must not set {name} to {_quote(bad)}",
            lambda context: context.get(field, {}).get("type", allowed[0]) not in allowed,
        )(spec)

    return check


_seccomp_not_forbidden = _profile_type(
    "seccompProfile", _CONFINED, "securityContext.seccompProfile.type"
)


def _added_capabilities(allowed: set[str]) -> Check:
    def check(spec: Object) -> str:
        adding = [
            (container, set(_security(container).get("capabilities", {}).get("add", ())) - allowed)
            for container in _containers(spec)
        ]
        bad = [container for container, added in adding if added]
        added = sorted(set().union(*(added for _, added in adding)))
        text = f"must not include {_quote(added)} in securityContext.capabilities.add"
        return f"{_name(bad)} {text}" if bad else ""

    return check


def _capabilities_restricted(spec: Object) -> str:
    keeping = _each(
        'must set securityContext.capabilities.drop=["ALL"]',
        lambda context: "ALL" not in context.get("capabilities", {}).get("drop", ()),
    )(spec)
    return "; ".join(filter(None, (keeping, _added_capabilities({"NET_BIND_SERVICE"})(spec))))


def _host_namespaces(spec: Object) -> str:
    shared = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    return ", ".join(f"{name}=true" for name in shared)


def _host_path_volumes(spec: Object) -> str:
    names = [volume.get("name", "") for volume in spec.get("volumes", ()) if "hostPath" in volume]
    return f"volume{'s' if len(names) > 1 else ''} {_quote(names)}" if names else ""


def _host_ports(spec: Object) -> str:
    using = [
        (container, [str(p["hostPort"]) for p in container.get("ports", ()) if p.get("hostPort")])
        for container in _containers(spec)
    ]
    bad = [container for container, ports in using if ports]
    ports = sorted({port for _, ports in using for port in ports}, key=int)
    verb = "uses" if len(bad) == 1 else "use"
    plural = "s" if len(ports) > 1 else ""
    return f"{_name(bad)} {verb} hostPort{plural} {', '.join(ports)}" if bad else ""


def _probe_hosts(spec: Object) -> str:
    found: list[tuple[Object, str]] = []
    for container in _containers(spec):
        lifecycle = container.get("lifecycle", {})
        handlers = [
            container.get(f"{name}Probe", {}) for name in ("liveness", "readiness", "startup")
        ]
        handlers += [lifecycle.get("postStart", {}), lifecycle.get("preStop", {})]
        for action in (h.get(a, {}) for h in handlers for a in ("httpGet", "tcpSocket")):
            found += [(container, action["host"])] if action.get("host") else []
    bad = list({container.get("name"): container for container, _ in found}.values())
    hosts = sorted({host for _, host in found})
    verb = "uses" if len(bad) == 1 else "use"
    plural = "s" if len(hosts) > 1 else ""
    return f"{_name(bad)} {verb} probe or lifecycle host{plural} {_quote(hosts)}" if bad else ""


def _sysctls(spec: Object) -> str:
    names = (sysctl.get("name", "") for sysctl in _security(spec).get("sysctls", ()))
    return ", ".join(name for name in names if name not in _SAFE_SYSCTLS)


def _selinux_is_forbidden(context: Object) -> bool:
    options = context.get("seLinuxOptions", {})
    forbidden_type = options.get("type", "") not in _SELINUX_TYPES
    return forbidden_type or bool(options.get("user")) or bool(options.get("role"))


def _restricted_volumes(spec: Object) -> str:
    bad = [
        (volume.get("name", ""), source)
        for volume in spec.get("volumes", ())
        for source in volume
        if source != "name" and source not in _SAFE_VOLUMES
    ]
    if not bad:
        return ""
    sources = sorted({source for _, source in bad})
    volumes = f"volume{'s' if len(bad) > 1 else ''} {_quote(name for name, _ in bad)}"
    kinds = f"restricted volume type{'s' if len(sources) > 1 else ''} {_quote(sources)}"
    return f"{volumes} {'use' if len(bad) > 1 else 'uses'} {kinds}"


def _run_as_non_root(spec: Object) -> str:
    refused = _pod_or_containers(
        "must not set securityContext.runAsNonRoot=false",
        lambda context: context.get("runAsNonRoot") is False,
    )(spec)
    if refused or _security(spec).get("runAsNonRoot"):
        return refused
    missing = _each(
        "must set securityContext.runAsNonRoot=true",
        lambda context: not context.get("runAsNonRoot"),
    )(spec)
    return f"pod or {missing}" if missing else ""


def _seccomp_restricted(spec: Object) -> str:
    refused = _seccomp_not_forbidden(spec)
    if refused or "seccompProfile" in _security(spec):
        return refused
    missing = _each(
        'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"',
        lambda context: "seccompProfile" not in context,
    )(spec)
    return f"pod or {missing}" if missing else ""


_BASELINE: tuple[tuple[str, Check], ...] = (
    ("forbidden AppArmor profile", _profile_type(
        "appArmorProfile", _CONFINED, "securityContext.appArmorProfile.type")),
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
    ("seLinuxOptions", _pod_or_containers(
        "set forbidden securityContext.seLinuxOptions", _selinux_is_forbidden)),
    ("seccompProfile", _seccomp_not_forbidden),
    ("forbidden sysctls", _sysctls),
    ("hostProcess", _pod_or_containers(
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
    ("unrestricted capabilities", _capabilities_restricted),
    ("restricted volume types", _restricted_volumes),
    ("runAsNonRoot != true", _run_as_non_root),
    ("runAsUser=0", _pod_or_containers(
        "must not set runAsUser=0", lambda c: c.get("runAsUser") == 0)),
    ("seccompProfile", _seccomp_restricted),
)  # fmt: skip
_LEVELS = {"baseline": _BASELINE, "restricted": _RESTRICTED}
