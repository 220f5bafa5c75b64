"""The official client of a kubeconfig, with its keys and certificates in files that we answer for.

The client itself writes them into the shared temporary folder, where one that is killed leaves
them, and remembers a file that a full disk cut short. Here they are beside the kubeconfig, each
named by its content, whole or not at all, and go with the cluster.
"""

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

import yaml

from lab_utils.errors import ClusterError

FOLDER = "client"
"""Beside the kubeconfig."""
_KINDS = ("certificate-authority", "client-certificate", "client-key")


def client_of(kubeconfig: Path, context: str | None = None, *, retries: Any = None) -> Any:
    """Make a client.

    Args:
        kubeconfig: The file; paths in it are absolute.
        context: A context of it; its current one by default.
        retries: How often the client asks again, as urllib3 takes it.

    Raises:
        ClusterError: The files cannot be written; says where and why.
    """
    from kubernetes import client, config

    settings = client.Configuration()
    settings.retries = retries
    folder = kubeconfig.with_name(FOLDER)
    try:
        known = _with_files(yaml.safe_load(kubeconfig.read_text()), folder)
    except OSError as exc:
        raise ClusterError(
            f"Connecting to the cluster failed: its certificates cannot be kept in {folder}: "
            f"{exc.strerror}. Make room there, or set LAB_STATE_DIR to another folder."
        ) from exc
    config.load_kube_config_from_dict(known, context, client_configuration=settings)
    return client.ApiClient(settings)


def _with_files(kubeconfig: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Put the path of a file where a kubeconfig has its content."""
    parts = [entry["cluster"] for entry in kubeconfig["clusters"]]
    parts += [entry.get("user") or {} for entry in kubeconfig["users"]]
    for part in parts:
        for kind in _KINDS:
            if content := part.pop(f"{kind}-data", None):
                part[kind] = str(_keep(base64.b64decode(content), folder))
    return kubeconfig


def _keep(content: bytes, folder: Path) -> Path:
    path = folder / f"{hashlib.sha256(content).hexdigest()}.pem"
    if path.exists():
        return path
    folder.mkdir(mode=0o700, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    try:
        partial.touch(mode=0o600)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return path
