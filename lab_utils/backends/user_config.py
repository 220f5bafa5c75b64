"""The learner's own kubeconfig: read as kubectl reads it, one context taken out, never written.

What is taken out stands alone: later `kubectl config use-context` and edits change nothing for the
lab. Source: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

import os
from pathlib import Path
from typing import Any

from lab_utils.errors import BackendUnavailable, ManifestError
from lab_utils.settings import show_path
from lab_utils.yaml_source import parse

Entries = dict[str, dict[str, Any]]
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def take_context(name: str) -> dict[str, Any]:
    """Take one context, with its cluster and its user, out of the learner's kubeconfig.

    Args:
        name: The context's name.

    Returns:
        A kubeconfig of its own, in which the context is the current one and paths are absolute.

    Raises:
        BackendUnavailable: There is no such context, or nothing to read; says which there are.
    """
    files = _files()
    merged = [_read(file) for file in files]
    contexts = _entries(merged, files, "contexts", "context")
    if name not in contexts:
        known = f"They have {', '.join(sorted(contexts))}" if contexts else "They have none"
        raise BackendUnavailable(
            f"LAB_BACKEND=context:{name}: no context of that name in "
            f"{', '.join(map(str, files))}. {known}; see `kubectl config get-contexts`."
        )
    taken: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "current-context": name}
    taken["contexts"] = [{"name": name, "context": contexts[name]}]
    for plural, singular in (("clusters", "cluster"), ("users", "user")):
        wanted = str(contexts[name].get(singular, ""))
        found = _entries(merged, files, plural, singular).get(wanted)
        if found is None:
            raise BackendUnavailable(
                f"LAB_BACKEND=context:{name}: it names the {singular} {wanted!r}, which is in none "
                f"of {', '.join(map(str, files))}. Mend the kubeconfig first."
            )
        taken[plural] = [{"name": wanted, singular: found}]
    return taken


def _files() -> list[Path]:
    configured = [path for path in os.environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    return [Path(path).expanduser() for path in configured or ["~/.kube/config"]]


def _read(file: Path) -> dict[str, Any]:
    try:
        documents = parse(file.read_bytes(), show_path(file))
    except FileNotFoundError:  # kubectl goes on with the others too
        return {}
    except (OSError, ManifestError) as exc:
        raise BackendUnavailable(f"The kubeconfig {file} cannot be read: {exc}.") from exc
    content = documents[0].value if documents else None
    return content if isinstance(content, dict) else {}


def _entries(
    merged: list[dict[str, Any]], files: list[Path], plural: str, singular: str
) -> Entries:
    """Collect the named entries of all files; the first file to name one wins."""
    found: Entries = {}
    for content, file in zip(merged, files, strict=True):
        for entry in content.get(plural) or ():
            value = {
                key: str(file.absolute().parent / item) if key in _FILES else item
                for key, item in (entry.get(singular) or {}).items()
            }
            found.setdefault(str(entry.get("name")), value)
    return found
