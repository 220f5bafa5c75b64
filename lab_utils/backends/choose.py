"""Which backend: a decision and always its reason."""

import shutil
from collections.abc import Callable

from lab_utils.backends.base import Backend
from lab_utils.backends.context import PREFIX, ContextBackend
from lab_utils.backends.embedded import EmbeddedBackend
from lab_utils.backends.engine import probe
from lab_utils.backends.kind import KindBackend
from lab_utils.backends.kind_needs import Check, judge_all
from lab_utils.errors import BackendUnavailable
from lab_utils.settings import Settings


def choose(settings: Settings) -> tuple[Backend, str]:
    """Take the backend the settings ask for; `auto` takes Kind where it can.

    Returns:
        The backend, not started, and why it was taken.

    Raises:
        BackendUnavailable: The one asked for cannot be used here; says what is missing.
    """
    name, reason = decide(settings.backend, look_for_kind)
    backend: Backend
    if name == "kind":
        backend = KindBackend(settings)
    elif name == "embedded":
        backend = EmbeddedBackend(settings)
    else:
        backend = ContextBackend(settings)
    return backend, reason


def look_for_kind() -> list[Check]:
    """Look whether Kind can be used here; takes seconds at most."""
    return judge_all(probe(), shutil.which("kind"), shutil.which("docker"))


def decide(wanted: str, look: Callable[[], list[Check]]) -> tuple[str, str]:
    """Decide between "kind" and "embedded"; a context is taken only if it is asked for.

    Args:
        wanted: The setting: auto, kind, embedded or context:NAME.
        look: Judges the machine for Kind; called only if its answer matters.

    Returns:
        The backend's name and the reason.

    Raises:
        BackendUnavailable: The one asked for cannot be used here.
    """
    if wanted == "embedded" or wanted.startswith(PREFIX):
        return wanted, "LAB_BACKEND asks for it"
    checks = look()
    failed = [check for check in checks if check.status == "fail"]
    if not failed:
        found = {check.name: check.found for check in checks}
        asked = "LAB_BACKEND asks for it" if wanted == "kind" else "auto"
        return "kind", f"{asked}: Docker {found['Docker engine']} and {found['kind']} are there"
    problem = f"{failed[0].name}: {failed[0].found}"
    if wanted == "kind":
        raise BackendUnavailable(
            f"LAB_BACKEND=kind cannot be used here. {problem} {failed[0].remedy} "
            "Or use the embedded cluster: LAB_BACKEND=embedded."
        )
    return "embedded", f"auto: no Kind here. {problem}"
