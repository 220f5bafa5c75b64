"""Kubernetes quantities in canonical form: the one text per amount that the API writes.

Reading them is `units`; here is writing them back.
"""

import re
from decimal import ROUND_CEILING, Decimal
from typing import Any

from lab_utils.units import parse_quantity

_DECIMAL_SUFFIXES = {18: "E", 15: "P", 12: "T", 9: "G", 6: "M", 3: "k", 0: "", -3: "m", -6: "u"}
_MAX_QUANTITY = Decimal(2**63 - 1)
_BINARY_SUFFIXES = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def canonical_quantity(value: Any) -> str:
    """Write a quantity as Kubernetes does: 0.1 is "100m", "1024Ki" is "1Mi".

    Raises:
        InvalidInput: value is not a quantity; the message is Kubernetes' own.

    Source:
        k8s.io/apimachinery/pkg/api/resource (Quantity.CanonicalizeBytes)
    """
    text, number = str(value), parse_quantity(value)
    number = max(min(number, _MAX_QUANTITY), -_MAX_QUANTITY)
    number = number.quantize(Decimal("1e-9"), ROUND_CEILING) if number % 1 else number
    if text.endswith("i") and abs(number) >= 1024 and number == int(number):
        return _with_binary_suffix(int(number))
    return _with_decimal_suffix(number, exponent_form=re.search(r"[eE][+-]?\d", text) is not None)


def round_to_milli(quantity: str) -> str:
    """Round a resource up to a thousandth, as resource lists are."""
    if quantity[-1:] not in "nu" or not quantity:
        return quantity
    return _with_decimal_suffix(parse_quantity(quantity).quantize(Decimal("0.001"), ROUND_CEILING))


def _with_binary_suffix(number: int) -> str:
    power = 0
    while number % 1024 == 0 and power < len(_BINARY_SUFFIXES) - 1:
        number, power = number // 1024, power + 1
    return f"{number}{_BINARY_SUFFIXES[power]}"


def _with_decimal_suffix(number: Decimal, *, exponent_form: bool = False) -> str:
    if number == 0:
        return "0"
    for exponent, suffix in _DECIMAL_SUFFIXES.items():
        if number % Decimal(10) ** exponent == 0:
            mantissa = int(number / Decimal(10) ** exponent)
            return f"{mantissa}e{exponent}" if exponent_form and exponent else f"{mantissa}{suffix}"
    return f"{int(number * 10**9)}n"
