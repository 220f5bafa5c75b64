"""Which backend: a decision and always its reason."""

import shutil
from collections.abc import Callable

from lab_utils.backends.base import Backend
from lab_utils.backends.context import PREFIX, ContextBackend
from lab_utils.backends.embedded import EmbeddedBackend
from lab_utils.backends.engine import Engine, probe
from lab_utils.backends.kind import KindBackend
from lab_utils.errors import BackendUnavailable
from lab_utils.settings import Settings


def choose(settings: Settings) -> tuple[Backend, str]:
    """Take the backend the settings ask for; `auto` takes Kind where it can.

    Returns:
        The backend, not started, and why it was taken.

    Raises:
        BackendUnavailable: The one asked for cannot be used here; says what is missing.
    """
    name, reason = decide(settings.backend, shutil.which("kind"), probe)
    backend: Backend
    if name == "kind":
        backend = KindBackend(settings)
    elif name == "embedded":
        backend = EmbeddedBackend(settings)
    else:
        backend = ContextBackend(settings)
    return backend, reason


def decide(wanted: str, kind_binary: str | None, look: Callable[[], Engine]) -> tuple[str, str]:
    """Decide between "kind" and "embedded"; a context is taken only if it is asked for.

    Args:
        wanted: The setting: auto, kind, embedded or context:NAME.
        kind_binary: Where `kind` was found; None if it was not.
        look: Probes the Docker engine; called only if its answer matters.

    Returns:
        The backend's name and the reason.

    Raises:
        BackendUnavailable: The one asked for cannot be used here.
    """
    if wanted == "embedded":
        return "embedded", "LAB_BACKEND asks for it"
    if wanted.startswith(PREFIX):
        return wanted, "LAB_BACKEND asks for it"
    engine = look() if kind_binary else Engine()
    problem = engine.problem if kind_binary else "There is no `kind` on the PATH."
    if wanted == "kind" and problem:
        raise BackendUnavailable(
            f"LAB_BACKEND=kind cannot be used here: {problem} "
            "Mend that, or use the embedded cluster: LAB_BACKEND=embedded."
        )
    if problem:
        return "embedded", f"auto: no Kind here. {problem}"
    asked = "LAB_BACKEND asks for it" if wanted == "kind" else "auto"
    return "kind", f"{asked}: Docker {engine.version} answers and {kind_binary} is there"
