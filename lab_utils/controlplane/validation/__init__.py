"""Which objects the cluster takes, and what may be changed of them.

Hides the rules of each kind behind one call; their texts are Kubernetes' own. Runs after the
defaults, sees one object and its predecessor, and never reads another.
"""

from lab_utils.controlplane.validation.rules import validate

__all__ = ["validate"]
