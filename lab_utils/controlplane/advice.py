"""What is taken as it is and yet unlikely to be meant: warnings about pods.

Pure. Never refuses anything (that is `validation`).
Source: k8s.io/kubernetes/pkg/api/pod (warnings.go), whose texts these are.
"""

from collections.abc import Iterator, Sequence

from lab_utils.controlplane.status import Object
from lab_utils.controlplane.validation import formats
from lab_utils.units import parse_quantity


def advise(obj: Object) -> Iterator[str]:
    """Find what a pod, or the template of a workload, had better say otherwise."""
    if obj["kind"] == "Pod":
        yield from _of_name(obj["metadata"]["name"])
        yield from _of_spec(obj["spec"], "spec")
    elif template := obj.get("spec", {}).get("template"):
        yield from _of_spec(template.get("spec", {}), "spec.template.spec")


def _of_spec(spec: Object, at: str) -> Iterator[str]:
    for kind in ("initContainers", "containers"):
        for i, container in enumerate(spec.get(kind, ())):
            yield from _of_container(container, f"{at}.{kind}[{i}]")


def _of_name(name: str) -> Iterator[str]:
    """Say what a pod's name does to its hostname."""
    problems = " ".join(formats.dns_label_name(name))
    if problems:
        why = "this is used in the Pod's hostname, which can result in surprising behavior"
        yield f"metadata.name: {why}; a DNS label is recommended: [{problems}]"


def _of_container(container: Object, at: str) -> Iterator[str]:
    for side in ("limits", "requests"):
        amount = container.get("resources", {}).get(side, {}).get("memory", "0")
        if parse_quantity(amount) % 1:
            why = f'fractional byte value "{amount}" is invalid, must be an integer'
            yield f"{at}.resources.{side}[memory]: {why}"
    ports = [
        (one.get("containerPort"), one.get("protocol", "TCP"), one.get("hostPort"))
        for one in container.get("ports", ())
    ]
    for i, first in _repeats(ports):
        yield f"{at}.ports[{i}]: duplicate port definition with {at}.ports[{first}]"
    names = [one.get("name") for one in container.get("env", ())]
    for i, _ in _repeats(names):
        what = f'hides previous definition of "{names[i]}"'
        yield f"{at}.env[{i}]: {what}, which may be dropped when using apply"


def _repeats(items: Sequence[object]) -> Iterator[tuple[int, int]]:
    """Give the places of what came before, each with the first place."""
    first: dict[object, int] = {}
    for i, item in enumerate(items):
        if first.setdefault(item, i) != i:
            yield i, first[item]
