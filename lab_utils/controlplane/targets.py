"""Who is meant: the container of a pod, the port of a Service, its ready endpoints. Pure."""

from lab_utils.controlplane.status import Object, bad_request


def split_name(name: str) -> tuple[str, str]:
    """Take `http:web:8000`, `web:8000` or `web` apart.

    Raises:
        ApiError: 400, it is none of them.
    """
    parts = name.split(":")
    if len(parts) == 3 and parts[0] in ("", "http"):
        parts = parts[1:]
    if len(parts) > 2 or not parts[0]:
        raise bad_request(f'invalid service request "{name}"')
    return parts[0], parts[1] if len(parts) == 2 else ""


def first_port(pod: Object) -> int:
    """Give the port that a proxy takes when none is named."""
    ports = (port for container in pod["spec"]["containers"] for port in container.get("ports", ()))
    return next((port["containerPort"] for port in ports), 80)


def choose_container(pod: Object, wanted: str) -> str:
    """Choose the container that is meant.

    Raises:
        ApiError: 400, there is none of this name, or several and none was named.
    """
    spec, name = pod["spec"], pod["metadata"]["name"]
    mains = [one["name"] for one in spec["containers"]]
    inits = [one["name"] for one in spec.get("initContainers", ())]
    if wanted and wanted not in mains + inits:
        raise bad_request(f"container {wanted} is not valid for pod {name}")
    if wanted or len(mains) == 1:
        return wanted or mains[0]
    choices = f"choose one of: [{' '.join(mains)}]"
    choices += f" or one of the init containers: [{' '.join(inits)}]" if inits else ""
    raise bad_request(f"a container name must be specified for pod {name}, {choices}")


def port_name(service: Object, wanted: str) -> str | None:
    """Find the name of the port that is meant by name, by number, or not at all when it is one."""
    ports = service["spec"].get("ports", ())
    for port in ports:
        name = port.get("name", "")
        if wanted in (name, str(port["port"])) or (not wanted and len(ports) == 1):
            return str(name)
    return None


def ready_targets(piece: Object, name: str | None) -> list[tuple[str, int]]:
    """List where ready endpoints serve a port."""
    return [
        (endpoint["addresses"][0], port["port"])
        for endpoint in piece.get("endpoints") or ()
        if endpoint.get("conditions", {}).get("ready", True) is not False
        for port in piece.get("ports") or ()
        if port.get("name", "") == name
    ]
