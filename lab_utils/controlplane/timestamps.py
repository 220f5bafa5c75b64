"""Times as the API writes them: RFC 3339 in UTC, whole seconds or microseconds."""

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


def human_duration(duration_s: float) -> str:
    """Write a time span as `kubectl get` does: `47s`, `2m35s`, `12m`, `5h`, `3d4h`, `2y`.

    Source:
        k8s.io/apimachinery duration.HumanDuration: two units while the first one is small.
    """
    seconds = int(duration_s)
    if seconds < -1:
        return "<invalid>"
    seconds = max(seconds, 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    years = days // 365
    if minutes < 2:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if years < 2:
        return f"{days}d"
    return _two(years, "y", days % 365, "d") if years < 8 else f"{years}y"


def _two(first: int, unit: str, second: int, smaller: str) -> str:
    return f"{first}{unit}{second}{smaller}" if second else f"{first}{unit}"
