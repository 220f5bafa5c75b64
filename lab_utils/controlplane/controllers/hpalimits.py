"""How fast and how far autoscaling goes: stabilization windows, policies, and the range of sizes.

Hides the memory of what was recommended and done. Pure: times and history are arguments.
Source: https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#configurable-scaling-behavior
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import parse_rfc3339, rfc3339_micro

_REMEMBERED_S = 3600
"""The longest window that validation lets through."""
_Moments = tuple[tuple[datetime, int], ...]


@dataclass(frozen=True)
class History:
    """What was recommended and by how many pods the target grew or shrank, and when."""

    recommended: _Moments = ()
    changes: _Moments = ()

    @classmethod
    def read(cls, text: Object) -> "History":
        """Read what write() wrote."""
        names = ("recommended", "changes")
        return cls(*(tuple((parse_rfc3339(at), n) for at, n in text.get(k, ())) for k in names))

    def write(self, now: datetime) -> Object:
        """Write what may still matter."""
        oldest = now - timedelta(seconds=_REMEMBERED_S)
        return {
            name: [[rfc3339_micro(at), n] for at, n in moments if at > oldest]
            for name, moments in vars(self).items()
        }

    def with_recommendation(self, replicas: int, now: datetime) -> "History":
        """Add what was recommended."""
        return replace(self, recommended=(*self.recommended, (now, replicas)))

    def with_change(self, change: int, now: datetime) -> "History":
        """Add by how many pods the target has changed."""
        return replace(self, changes=(*self.changes, (now, change)))


def since(moments: _Moments, seconds: float, now: datetime) -> list[int]:
    """Give the numbers of the last seconds."""
    return [n for at, n in moments if at > now - timedelta(seconds=seconds)]


@dataclass(frozen=True)
class Limited:
    """A number of replicas, and what limited it."""

    replicas: int
    reason: str
    message: str


@dataclass(frozen=True)
class Behavior:
    """The pace a HorizontalPodAutoscaler asks for.

    Attributes:
        spec: Its spec.
        down_window_s: The cluster's stabilization of scaling down, where the spec says nothing.
    """

    spec: Object
    down_window_s: float

    def stabilize(self, current: int, wanted: int, history: History, now: datetime) -> Limited:
        """Hold a recommendation within those of the windows: no flapping."""
        up, down = self._rules("scaleUp"), self._rules("scaleDown")
        up_s = up.get("stabilizationWindowSeconds") or 0
        down_s = down.get("stabilizationWindowSeconds")
        down_s = self.down_window_s if down_s is None else down_s
        lowest = min([wanted, *since(history.recommended, up_s, now)])
        highest = max([wanted, *since(history.recommended, down_s, now)])
        held = min(max(current, lowest), highest)
        if held == wanted:
            return Limited(held, "ReadyForNewScale", "recommended size matches current size")
        if wanted >= current:
            why = "recent recommendations were lower than current one, "
            return Limited(
                held, "ScaleUpStabilized", f"{why}applying the lowest recent recommendation"
            )
        why = "recent recommendations were higher than current one, "
        return Limited(
            held, "ScaleDownStabilized", f"{why}applying the highest recent recommendation"
        )

    def limit(self, current: int, wanted: int, history: History, now: datetime) -> Limited:
        """Hold a size within minReplicas and maxReplicas, and within what the policies allow."""
        most, least = self.spec["maxReplicas"], self.spec.get("minReplicas", 1)
        if wanted > current:
            fastest = max(current, self._fastest(1, current, history, now))
            if fastest < min(most, wanted):
                why = "the desired replica count is increasing faster than the maximum scale rate"
                return Limited(fastest, "ScaleUpLimit", why)
        elif wanted < current:
            fastest = min(current, self._fastest(-1, current, history, now))
            if fastest > max(least, wanted):
                why = "the desired replica count is decreasing faster than the maximum scale rate"
                return Limited(fastest, "ScaleDownLimit", why)
        if wanted > most:
            why = "the desired replica count is more than the maximum replica count"
            return Limited(most, "TooManyReplicas", why)
        if wanted < least:
            why = "the desired replica count is less than the minimum replica count"
            return Limited(least, "TooFewReplicas", why)
        within = "the desired count is within the acceptable range"
        return Limited(wanted, "DesiredWithinRange", within)

    def _rules(self, way: str) -> Object:
        rules: Object = (self.spec.get("behavior") or {}).get(way) or {}
        return rules

    def _fastest(self, sign: int, current: int, history: History, now: datetime) -> int:
        """Give the size that the policies allow by now: growing for sign 1, shrinking for -1.

        Each policy counts from the size at the start of its period.
        """
        if "behavior" not in self.spec:
            return max(2 * current, 4) if sign > 0 else 0
        rules = self._rules("scaleUp" if sign > 0 else "scaleDown")
        choice = rules.get("selectPolicy", "Max")
        if choice == "Disabled":
            return current
        reached = []
        for policy in rules["policies"]:
            start = current - sum(since(history.changes, policy["periodSeconds"], now))
            reached.append(sign * _reach(start, policy, sign))
        return sign * (max(reached) if choice == "Max" else min(reached))


def _reach(start: int, policy: Object, sign: int) -> int:
    value: int = policy["value"]
    if policy["type"] == "Pods":
        return start + sign * value
    size = start * (1 + sign * value / 100)
    return math.ceil(size) if sign > 0 else int(size)
