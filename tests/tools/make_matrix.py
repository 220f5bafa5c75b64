"""Write the support matrix into the control plane's README, from its own tables.

Run as `python -m tests.tools.make_matrix` after a kind, a subresource or a controller has changed;
a test holds the two together.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from lab_utils.backends.embedded import FIDELITY
from lab_utils.controlplane.controllers.controller import ANY
from lab_utils.controlplane.controllers.loop import CONTROLLERS
from lab_utils.controlplane.discovery import subresources
from lab_utils.controlplane.kinds import ALL_VERBS, KINDS, Kind

TARGET = Path(__file__).parents[2] / "lab_utils" / "controlplane" / "README.md"
BEGIN, END = "<!-- matrix: begin -->\n", "<!-- matrix: end -->\n"
REFUSED = {
    "StatefulSet, DaemonSet, CronJob, ReplicationController": "Deployments and Jobs do",
    "PersistentVolume, PersistentVolumeClaim, StorageClass": "pods here keep nothing: configMap, "
    "secret, downwardAPI, projected and emptyDir volumes only",
    "Ingress, IngressClass, Gateway": "requests come through a nodePort or a port-forward",
    "Role, ClusterRole, RoleBinding, ClusterRoleBinding": "whoever has a token may do everything",
    "ResourceQuota, LimitRange, PriorityClass, RuntimeClass": "one learner, one priority",
    "CustomResourceDefinition, APIService, webhooks": "a new kind is a new row in `kinds.py`",
    "VolumeAttachment, CSIDriver, CertificateSigningRequest, ...": "nobody here would act on them",
}
"""What a server has and this one has not: answered with 404, as by a server without it."""


def render(page: str) -> str:
    """Give the page with its matrix made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{matrix()}{END}{after}"


def matrix() -> str:
    """Give all tables."""
    parts = (
        (
            "Kinds",
            ("kind", "API", "short", "verbs", "subresources", "worked on by"),
            map(_kind, KINDS),
        ),
        ("Controllers", ("controller", "looks at", "what for"), map(_controller, _controllers())),
        ("Real and emulated", ("what", "", "how"), map(_aspect, FIDELITY)),
        ("Refused", ("kind", "why"), REFUSED.items()),
    )
    return "".join(f"\n### {title}\n\n{_table(heads, rows)}" for title, heads, rows in parts) + "\n"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join(
        "|" + "".join(f" {cell} |" if cell else " |" for cell in line) + "\n" for line in lines
    )


def _kind(row: Kind) -> tuple[str, ...]:
    verbs = "all" if row.verbs == ALL_VERBS else ", ".join(row.verbs)
    if set(row.verbs) < set(ALL_VERBS) and len(row.verbs) > 4:
        verbs = "all but " + ", ".join(verb for verb in ALL_VERBS if verb not in row.verbs)
    names = dict.fromkeys(c.name for c in CONTROLLERS if c.kind == row.name and not row.is_view)
    short = ", ".join(row.short_names)
    return row.name, row.api_version, short, verbs, ", ".join(subresources(row)), ", ".join(names)


def _controllers() -> dict[str, tuple[list[str], str]]:
    """Give each controller's kinds, and the first line of its module."""
    found: dict[str, tuple[list[str], str]] = {}
    for row in CONTROLLERS:
        doc = (sys.modules[row.reconcile.__module__].__doc__ or "").split("\n\n")[0]
        what = " ".join(doc.partition(": ")[2].rstrip(".").split())
        kinds, _ = found.setdefault(row.name, ([], what))
        kinds.append("every kind" if row.kind == ANY else row.kind)
    return found


def _controller(name: str) -> tuple[str, ...]:
    kinds, what = _controllers()[name]
    return name, ", ".join(kinds), what


def _aspect(aspect: object) -> tuple[str, ...]:
    what, real, how = (getattr(aspect, name) for name in ("aspect", "real", "how"))
    return what, "real" if real else "emulated", how


if __name__ == "__main__":
    TARGET.write_text(render(TARGET.read_text()))
