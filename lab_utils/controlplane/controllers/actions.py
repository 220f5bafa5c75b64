"""What a reconciler may ask for: data, so that a decision can be tested without a cluster.

Hides nothing and does nothing; `execution.py` carries actions out, in their order.
"""

from dataclasses import dataclass

from lab_utils.controlplane.status import Object


@dataclass(frozen=True)
class Emit:
    """Record an Event about an object; type is Normal or Warning.

    In an Emit that rides on a Create, `{name}` in the message stands for the name it was given.
    """

    regarding: Object
    type: str
    reason: str
    message: str
    component: str


@dataclass(frozen=True)
class Create:
    """Create an object; then record `done`.

    A refusal is recorded as a FailedCreate event about what `done` regards, and that object's next
    reconcile finds the refusal in `World.refusal`.
    """

    object: Object
    done: Emit | None = None


@dataclass(frozen=True)
class Update:
    """Write an object's metadata and spec, or what a subresource such as "status" covers."""

    object: Object
    subresource: str = ""


@dataclass(frozen=True)
class Delete:
    """Delete exactly this object; a namesake that came later is left alone."""

    object: Object
    grace_s: int | None = None
    propagation: str | None = None


@dataclass(frozen=True)
class Bind:
    """Give a pod its node."""

    pod: Object
    node: str


@dataclass(frozen=True)
class Note:
    """Remember something for a controller's next look at an object; forgotten when all ends."""

    by: str
    regarding: Object
    text: Object


@dataclass(frozen=True)
class Requeue:
    """Look at the object again after a while, though nothing may have changed."""

    after_s: float


Action = Create | Update | Delete | Bind | Emit | Note | Requeue


def write_status(obj: Object, status: Object) -> list[Action]:
    """Write a status if it differs from what the object says."""
    return [] if status == obj.get("status") else [Update(obj | {"status": status}, "status")]
