"""Kubernetes quantities: `50m`, `64Mi`, `0.5`, `1e3` to exact numbers and back.

Hides the suffix tables. Never guesses: what Kubernetes refuses (`64MB`, `1_000`, `NaN`) is refused
here in the same words. Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import math
import re
from decimal import Decimal

from lab_utils.errors import InvalidInput

_BINARY = {
    suffix: Decimal(1024) ** (i + 1)
    for i, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))
}
_DECIMAL = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal("1e3"), "M": Decimal("1e6"), "G": Decimal("1e9"), "T": Decimal("1e12"),
    "P": Decimal("1e15"), "E": Decimal("1e18"),
}  # fmt: skip
_SUFFIXES = _BINARY | _DECIMAL
_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE]?)|[eE](?P<exponent>[+-]?[0-9]{1,3}))",
    re.ASCII,
)
REFUSAL = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)


def parse_quantity(text: object) -> Decimal:
    """Read a Kubernetes quantity exactly.

    Args:
        text: A quantity such as "100m", "64Mi" or 2. Booleans are not quantities.

    Returns:
        Its value in base units (cores, bytes, pieces).

    Raises:
        InvalidInput: text is not a quantity; the message is Kubernetes' own.
    """
    match = None if isinstance(text, bool) else _QUANTITY.fullmatch(str(text))
    if match is None:
        raise InvalidInput(REFUSAL)
    if match["exponent"] is not None:
        return Decimal(match["number"]).scaleb(int(match["exponent"]))
    return Decimal(match["number"]) * _SUFFIXES[match["suffix"]]


def parse_cores(text: object) -> float:
    """Read a CPU quantity in cores: "50m" is 0.05."""
    return float(parse_quantity(text))


def parse_bytes(text: object) -> int:
    """Read a memory quantity in bytes, rounded up as Kubernetes does: "64Mi" is 67108864."""
    return math.ceil(parse_quantity(text))


def format_mebibytes(size_bytes: float) -> str:
    """Write a memory size for a person: 67108864 is "64.0 MiB"."""
    return f"{size_bytes / 2**20:.1f} MiB"
