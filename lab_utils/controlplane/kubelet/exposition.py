"""Metrics in Prometheus' text format as a kubelet writes it: families and labels by their names.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Sample:
    """One line: suffix is a histogram's `_bucket`, `_sum` or `_count`."""

    labels: Mapping[str, str]
    value: float
    at: datetime | None = None
    suffix: str = ""


@dataclass(frozen=True)
class Family:
    """All lines of one metric; a name that ends with `_total` is a counter."""

    name: str
    help: str
    samples: Iterable[Sample]
    kind: str = ""

    def lines(self) -> Iterable[str]:
        """Write the family; nothing if it has no lines."""
        written = [_line(self.name, sample) for sample in self.samples]
        if written:
            kind = self.kind or ("counter" if self.name.endswith("_total") else "gauge")
            yield f"# HELP {self.name} {self.help}"
            yield f"# TYPE {self.name} {kind}"
            yield from written


def exposition(families: Iterable[Family]) -> str:
    """Write families in the order of their names."""
    ordered = sorted(families, key=lambda family: family.name)
    return "".join(f"{line}\n" for family in ordered for line in family.lines())


def _line(name: str, sample: Sample) -> str:
    ordered = sorted(sample.labels.items(), key=lambda pair: (pair[0] == "le", pair[0]))
    text = ",".join(f'{label}="{_escaped(word)}"' for label, word in ordered)
    where = f"{{{text}}}" if text else ""
    when = f" {int(sample.at.timestamp() * 1000)}" if sample.at else ""
    return f"{name}{sample.suffix}{where} {sample.value:.15g}{when}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
