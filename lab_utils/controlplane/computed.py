"""Kinds that nobody stores: reviews, answered as they are asked, and metrics, measured anew.

Hides where the answer comes from; what it is, is the business of `reviews` and of who measures.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from lab_utils.controlplane.authorization import User
from lab_utils.controlplane.kinds import Kind
from lab_utils.controlplane.reviews import review
from lab_utils.controlplane.status import Object, not_found
from lab_utils.controlplane.timestamps import Clock

Metrics = Callable[[str], Awaitable[list[Object]]]
"""Measures: all objects of the kind NodeMetrics or PodMetrics, without kind and apiVersion."""


async def nothing_measured(_kind: str) -> list[Object]:
    """Give no metrics, as a metrics server does that has just started."""
    return []


class Computed:
    """Answers for the kinds that are not stored."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics, self._clock = metrics, clock

    def create(self, row: Kind, question: Object, user: User) -> Object:
        """Answer a review (422, it is none)."""
        return _headed(row, review(row.name, question, user, self._clock()))

    async def get(self, row: Kind, namespace: str, name: str) -> Object:
        """Give what is measured of one thing (404, nothing is)."""
        for one in await self.list(row, namespace):
            if one["metadata"]["name"] == name:
                return one
        raise not_found(row.group, row.singular, "/".join(filter(None, (namespace, name))))

    async def list(
        self, row: Kind, namespace: str | None, selects: Callable[[Object], Any] = bool
    ) -> list[Object]:
        """Give what is measured, everywhere or in one namespace."""
        found = [_headed(row, one) for one in await self._metrics(row.name)]
        inside = (one for one in found if namespace in (None, one["metadata"].get("namespace", "")))
        return [one for one in inside if selects(one)]


def _headed(row: Kind, obj: Object) -> Object:
    return {"kind": row.name, "apiVersion": row.api_version} | obj
