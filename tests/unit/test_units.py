"""Quantities are read as Kubernetes reads them, and refused as it refuses them."""

from decimal import Decimal

import pytest

from lab_utils.errors import InvalidInput
from lab_utils.units import format_mebibytes, parse_bytes, parse_cores, parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("50m", "0.05"),
        ("100m", "0.1"),
        ("2", "2"),
        (2, "2"),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("1E", "1e18"),
        ("64Mi", 64 * 2**20),
        ("64M", 64 * 10**6),
        ("-1", "-1"),
        ("+1.5Gi", "1610612736"),
    ],
)
def test_a_quantity_is_exact(text, value):
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    ["", "64MB", "64MiB", " 64Mi", "64Mi ", "1_000", "NaN", "Infinity", "1e", "1e400x", "٣", "1 m",
     True, None, "m", "--1", "0x10", "1e9999"],
)  # fmt: skip
def test_what_kubernetes_refuses_is_refused(text):
    with pytest.raises(InvalidInput, match="quantities must match the regular expression"):
        parse_quantity(text)


def test_bytes_are_rounded_up_as_kubernetes_does():
    assert parse_bytes("0.5") == 1
    assert parse_bytes("64Mi") == 67_108_864


def test_cores_are_floats():
    assert parse_cores("50m") == pytest.approx(0.05)


def test_memory_is_shown_in_mebibytes():
    assert format_mebibytes(67_108_864) == "64.0 MiB"
