"""Write the support matrix into the control plane's README, from the table of kinds.

Run as `python -m tests.tools.make_matrix` after a row of `kinds` has changed.
"""

from pathlib import Path

from lab_utils.controlplane import kinds
from lab_utils.controlplane.discovery import subresources
from lab_utils.controlplane.kinds import KINDS, Kind

PAGE = Path(kinds.__file__).with_name("README.md")
START, END = "<!-- matrix -->\n", "<!-- end of matrix -->\n"
_HEAD = "| kind | version | `kubectl get` | beside it | verbs |\n|---|---|---|---|---|\n"
_NOTES = {"NetworkPolicy": " (stored, not enforced)", "NodeMetrics": " (measured)",
          "PodMetrics": " (measured)"}  # fmt: skip


def render() -> str:
    """Give the table: one row a served resource."""
    return _HEAD + "".join(map(_row, sorted(KINDS, key=lambda row: (row.group, row.name))))


def _row(row: Kind) -> str:
    names = ", ".join(f"`{name}`" for name in (row.plural, *row.short_names))
    inner = ", ".join(subresources(row)) or "-"
    verbs = "all" if set(row.verbs) == set(kinds.ALL_VERBS) else ", ".join(row.verbs)
    stored = kinds.BY_NAME[row.name].api_version
    note = f" (a view of {stored})" if row.is_view else _NOTES.get(row.name, "")
    return f"| {row.name}{note} | {row.api_version} | {names} | {inner} | {verbs} |\n"


def current() -> str:
    """Give the table that stands in the page."""
    return PAGE.read_text(encoding="utf-8").split(START)[1].split(END)[0]


if __name__ == "__main__":
    before, rest = PAGE.read_text(encoding="utf-8").split(START)
    PAGE.write_text(before + START + render() + END + rest.split(END)[1], encoding="utf-8")
