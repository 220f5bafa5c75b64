"""Which objects the cluster takes, and what may be changed of them.

Hides the rules behind one call; their texts are Kubernetes' own. A rule stands in `fields` if it
looks at one field, in `structs` if it looks at several, in `changes` if it looks at what was there
before. Runs after the defaults, sees one object and its predecessor, and never reads another.

Source:
    k8s.io/kubernetes/pkg/apis/<group>/validation
"""

from lab_utils.controlplane.validation.rules import validate

__all__ = ["validate"]
