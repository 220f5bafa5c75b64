"""Two objects into one, field by field, as server-side apply does it.

Pure: knows the shapes of the types, not who owns what.

Source:
    sigs.k8s.io/structured-merge-diff (typed), whose rules these are.
"""

from collections.abc import Iterator
from typing import Any

from lab_utils.controlplane.fieldsets import Child, Fields, Path, open_value, readable


def duplicates(part: Child, path: str) -> Iterator[str]:
    """Find list items that say twice who they are; gives Kubernetes' texts."""
    children = open_value(part)
    if children is None:
        return
    if isinstance(part.value, list) and len(children) < len(part.value):
        seen: list[str] = []
        for item in part.value:
            token = next(iter(open_value(part.with_value([item])) or {}))
            if token in seen:
                yield f"{path}: duplicate entries for key {readable((token,))}"
            seen.append(token)
    for token, child in children.items():
        yield from duplicates(child, path + readable((token,)))


def merge(old: Child, new: Child) -> Any:
    """Merge a wish into a value: the wish wins, what it does not name stays."""
    ours, theirs = open_value(old), open_value(new)
    if ours is None or theirs is None:
        return new.value
    if isinstance(new.value, list):
        return _merge_lists(ours, theirs)
    return old.value | {
        token[2:]: _merge_item(ours.get(token), child) for token, child in theirs.items()
    }


def _merge_item(old: Child | None, new: Child) -> Any:
    return new.value if old is None else merge(old, new)


def _merge_lists(ours: dict[str, Child], theirs: dict[str, Child]) -> list[Any]:
    """Keep both orders where they agree; where they do not, the wish's order counts."""
    left, right = list(ours), list(theirs)
    shared = [token for token in right if token in ours]
    result: dict[str, Any] = {}
    while left or right:
        if left and left[0] not in theirs:
            token = left.pop(0)
            result[token] = ours[token].value
        elif left and shared[:1] != left[:1]:
            left.pop(0)  # taken already, or to be taken later, where the wish has it
        else:
            token = right.pop(0)
            result[token] = _merge_item(ours.get(token), theirs[token])
            shared = shared[1:] if shared[:1] == [token] else shared
    return list(result.values())


def let_go(part: Child, gone: Fields, at: Path = ()) -> Any:
    """Remove fields from a value."""
    children = open_value(part)
    if children is None:
        return part.value
    values = {
        token: let_go(child, gone, (*at, token))
        for token, child in children.items()
        if (*at, token) not in gone
    }
    if isinstance(part.value, list):
        return list(values.values())
    return {token[2:]: value for token, value in values.items()}
