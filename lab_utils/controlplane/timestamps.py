"""Times as the API writes them: RFC 3339 in UTC, whole seconds or microseconds."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""What tells the time, in UTC; a test gives its own."""


def utc_now() -> datetime:
    """Tell the time of this machine."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """Write a metav1.Time: `2026-11-23T15:44:49Z`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(moment: datetime) -> str:
    """Write a metav1.MicroTime: `2026-11-23T15:44:49.000120Z`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_rfc3339(text: str) -> datetime:
    """Read either form."""
    return datetime.fromisoformat(text)


def go_duration(duration_s: float) -> str:
    """Write a metav1.Duration, to the millisecond: `15.062s`, `1m0.5s`, `1h0m0s`."""
    minutes, rest_ms = divmod(round(duration_s * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest_ms / 1000:.3f}".rstrip("0").rstrip(".")
    return (
        (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{seconds}s"
    )


def parse_go_duration(text: str) -> float:
    """Read what go_duration() wrote, in seconds."""
    parts = re.findall(r"([\d.]+)([hms])", text)
    return float(sum(float(number) * _UNITS[unit] for number, unit in parts))


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}
# Below so many of a unit, a span is written in these units.
_SPANS = (
    (2, "m", "s", ""), (10, "m", "m", "s"), (3, "h", "m", ""), (8, "h", "h", "m"),
    (48, "h", "h", ""), (8, "d", "d", "h"), (2, "y", "d", ""), (8, "y", "y", "d"),
)  # fmt: skip


def human_duration(duration_s: float) -> str:
    """Write a time span as `kubectl get` does: `47s`, `2m35s`, `12m`, `5h`, `3d4h`, `2y`.

    Source:
        k8s.io/apimachinery duration.HumanDuration: two units while the first one is small.
    """
    seconds = int(duration_s)
    if seconds < -1:
        return "<invalid>"
    seconds = max(seconds, 0)
    for bound, of, unit, smaller in _SPANS:
        if seconds < bound * _UNITS[of]:
            count, rest = divmod(seconds, _UNITS[unit])
            second = rest // _UNITS[smaller] if smaller else 0
            return f"{count}{unit}" + (f"{second}{smaller}" if second else "")
    return f"{seconds // _UNITS['y']}y"
