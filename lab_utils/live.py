"""A run while it lasts: a small chart of the latencies and failures so far, as an image in text.

Drawn by hand as SVG: a chart of matplotlib takes 50 ms of a processor that the load needs. Reads
each request once, so that a million of them cost no more at the end than at the beginning. What it
shows is for the eye; the run's own tables and charts are made afterwards.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_WIDTH, _HEIGHT = 520, 90
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 10, 16
_MOST_BINS = 90
_KEPT = 64  # latencies of a bin that its median is taken of
_INK, _BLUE = "#808080", "#2A8CC4"  # both can be read on white and on black


@dataclass
class _Bin:
    """What happened to the requests that were due in a span of time."""

    latencies_s: list[float] = field(default_factory=list)
    answered: int = 0
    failed: int = 0

    def add(self, latency_s: float | None) -> None:
        if latency_s is None:
            self.failed += 1
            return
        self.answered += 1
        if len(self.latencies_s) < _KEPT:
            self.latencies_s.append(latency_s)
        else:
            self.latencies_s[self.answered % _KEPT] = latency_s

    def join(self, other: "_Bin") -> "_Bin":
        kept = (self.latencies_s + other.latencies_s)[-_KEPT:]
        return _Bin(kept, self.answered + other.answered, self.failed + other.failed)

    @property
    def median_s(self) -> float:
        known = sorted(self.latencies_s)
        return known[len(known) // 2] if known else math.nan


class Sketch:
    """The chart of a list of requests that grows.

    Args:
        rows: One dict per finished request, as a load generator tells them; only read.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows, self._seen = rows, 0
        self._bins: list[_Bin] = []
        self._bin_s = 1.0

    def draw(self) -> str:
        """Draw what is there by now.

        Returns:
            An HTML image with a text for those who do not see it; empty before the first request.
        """
        self._read()
        if not self._bins:
            return ""
        svg = base64.b64encode(self._svg().encode()).decode()
        return (
            f'<img alt="{self._words()}" width="{_WIDTH}" height="{_HEIGHT}" '
            f'src="data:image/svg+xml;base64,{svg}">'
        )

    def _read(self) -> None:
        until = len(self._rows)  # it may grow meanwhile
        for row in self._rows[self._seen : until]:
            self._add(row)
        self._seen = until

    def _add(self, row: Mapping[str, Any]) -> None:
        if row.get("error") == "cancelled":
            return
        place = max(0, int(row["scheduled_s"] / self._bin_s))
        while place >= _MOST_BINS:
            odd = [*self._bins[1::2], *([_Bin()] if len(self._bins) % 2 else [])]
            pairs = zip(self._bins[::2], odd, strict=True)
            self._bins = [one.join(other) for one, other in pairs]
            self._bin_s, place = self._bin_s * 2, place // 2
        while len(self._bins) <= place:
            self._bins.append(_Bin())
        self._bins[place].add(_latency_s(row))

    def _svg(self) -> str:
        medians = [(i, one.median_s) for i, one in enumerate(self._bins) if one.latencies_s]
        top_s = max([s for _, s in medians], default=0.001) * 1.2
        points = [(self._x(i + 0.5), self._y(s / top_s)) for i, s in medians]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in points)
        crosses = "".join(
            f'<path d="M{self._x(i + 0.5) - 3:.1f} {_TOP - 7}l6 6m0-6l-6 6"/>'
            for i, one in enumerate(self._bins)
            if one.failed
        )
        end_s, floor = len(self._bins) * self._bin_s, _HEIGHT - _BOTTOM
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'font-family="sans-serif" font-size="10" fill="{_INK}">'
            f'<path d="M{_LEFT} {_TOP}V{floor}H{_WIDTH - _RIGHT}" fill="none" stroke="{_INK}"/>'
            f'<g fill="{_BLUE}"><polyline points="{line}" fill="none" stroke="{_BLUE}" '
            f'stroke-width="1.5"/>{dots}</g>'
            f'<g stroke="{_INK}" stroke-width="2">{crosses}</g>'
            f'<text x="{_LEFT - 4}" y="{_TOP + 8}" text-anchor="end">{top_s * 1e3:.3g} ms</text>'
            f'<text x="{_LEFT - 4}" y="{floor}" text-anchor="end">0</text>'
            f'<text x="{_LEFT}" y="{_HEIGHT - 3}">median latency, x: failed</text>'
            f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 3}" text-anchor="end">{end_s:g} s</text>'
            "</svg>"
        )

    def _x(self, place: float) -> float:
        return _LEFT + place / len(self._bins) * (_WIDTH - _LEFT - _RIGHT)

    @staticmethod
    def _y(share: float) -> float:
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP)

    def _words(self) -> str:
        failed = sum(one.failed for one in self._bins)
        last = next((one.median_s for one in reversed(self._bins) if one.latencies_s), math.nan)
        latency = "" if math.isnan(last) else f", median latency now {last * 1e3:.0f} ms"
        return f"{sum(one.answered for one in self._bins):,} answered, {failed:,} failed{latency}"


def _latency_s(row: Mapping[str, Any]) -> float | None:
    if "decisive" not in row:
        return None
    decisive = row["attempts"][row["decisive"] - 1]
    return float(decisive["done_s"] - row["scheduled_s"]) if decisive.get("ok") else None
