"""The row that makes a reconciler a controller: its kind, and whose changes concern it.

Hides nothing; `loop.py` reads the rows.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lab_utils.controlplane.controllers.actions import Action
from lab_utils.controlplane.controllers.objects import Key, controller_of, key_of, labels_of
from lab_utils.controlplane.controllers.selection import matches
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Change

ANY = "*"
Reconcile = Callable[[Object, World, datetime], list[Action]]
Concerns = Callable[[Change, World], Iterable[Key]]


@dataclass(frozen=True)
class Controller:
    """One controller.

    Attributes:
        name: What the log calls it.
        kind: The kind it reconciles; ANY for all of them.
        reconcile: The pure function.
        concerns: Kind -> which keys to reconcile when an object of that kind changes. Changes of
            `kind` itself need no entry.
    """

    name: str
    kind: str
    reconcile: Reconcile
    concerns: Mapping[str, Concerns] = field(default_factory=dict)


def selectors_of(kind: str, selector: Callable[[Object], Object | None]) -> Concerns:
    """Concern the objects of a kind whose selector meets the changed object, or met it before."""

    def concerned(change: Change, world: World) -> Iterable[Key]:
        versions = [version for version in (change.object, change.previous) if version]
        for candidate in world.list(kind, change.key[0]):
            wanted = selector(candidate)
            if any(matches(wanted, labels_of(version)) for version in versions):
                yield key_of(candidate)

    return concerned


def claimants(kind: str) -> Concerns:
    """Concern the controller of the changed object, or those that might adopt it."""
    adopters = selectors_of(kind, lambda candidate: candidate["spec"]["selector"])

    def concerned(change: Change, world: World) -> Iterable[Key]:
        references = [controller_of(v) for v in (change.object, change.previous) if v]
        for reference in references:
            if reference is not None and reference["kind"] == kind:
                yield kind, change.key[0], reference["name"]
        if references[0] is None:
            yield from adopters(change, world)

    return concerned


def namesakes(kind: str) -> Concerns:
    """Concern the object of a kind that has the changed object's name."""
    return lambda change, _world: [(kind, *change.key)]
