"""Which ConfigMaps and Secrets are right.

Source:
    k8s.io/kubernetes/pkg/apis/core/validation (validation.go)
"""

from collections.abc import Iterator

from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes, formats

_MAX_DATA_BYTES = 1024 * 1024
_SECRET_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def config_map_causes(new: Object) -> Iterator[Cause]:
    """Check a ConfigMap."""
    text, binary = new.get("data", {}), new.get("binaryData", {})
    for name, data in (("data", text), ("binaryData", binary)):
        for key in data:
            yield from causes.each_invalid(f"{name}[{key}]", key, formats.config_key(key))
        if name == "data":
            for key in sorted({*text} & {*binary}):
                why = "duplicate of key present in binaryData"
                yield causes.invalid(f"data[{key}]", key, why)
    size = sum(len(value.encode()) for value in text.values())
    if size + sum(len(value) * 3 // 4 for value in binary.values()) > _MAX_DATA_BYTES:
        yield causes.too_long("[]", _MAX_DATA_BYTES)


def secret_causes(new: Object) -> Iterator[Cause]:
    """Check a Secret."""
    data = new.get("data", {})
    for key in data:
        yield from causes.each_invalid(f"data[{key}]", key, formats.config_key(key))
    if sum(len(value) * 3 // 4 for value in data.values()) > _MAX_DATA_BYTES:
        yield causes.too_long("data", _MAX_DATA_BYTES)
    for key in _SECRET_KEYS.get(new.get("type", ""), ()):
        if key not in data:
            yield causes.required(f"data[{key}]")


def data_is_kept(new: Object, old: Object) -> Iterator[Cause]:
    """Refuse another type of Secret, and any change of what is marked immutable."""
    if new.get("type") != old.get("type"):
        yield causes.immutable("type", new.get("type"))
    if not old.get("immutable"):
        return
    why = "field is immutable when `immutable` is set"
    for field in ("immutable", "data", "binaryData"):
        if new.get(field) != old.get(field):
            yield causes.forbidden(field, why)
