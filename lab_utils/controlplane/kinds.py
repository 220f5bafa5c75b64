"""The kinds this cluster serves: one row each; a new kind is a new row.

Everything that must know "which resources are there" (routes, discovery, OpenAPI, tables, garbage
collection, the support matrix) reads this table and nothing else.
"""

from dataclasses import dataclass

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Kind:
    """One served resource, in the words of discovery."""

    group: str
    version: str
    name: str
    plural: str
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    has_status: bool = False
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    categories: tuple[str, ...] = ()
    stored: bool = True
    """False for kinds whose answer is computed (reviews, metrics)."""
    counts_generations: bool = False
    """metadata.generation grows when what is wanted changes."""
    status_on_create: bool = False
    """A create may bring a status along: a kubelet registers its Node so."""
    create_on_update: bool = False
    """A PUT of an absent object creates it."""
    needs_version: bool = False
    """A PUT must say which version it replaces."""
    returns_deleted: bool = False
    """A DELETE answers with the object, not with a Status."""
    orphans: bool = False
    """A DELETE that does not say otherwise leaves what the object owns behind."""
    selectable: tuple[str, ...] = ()
    """Field selectors beside metadata.name and metadata.namespace."""
    deprecated: str = ""
    """A warning that comes with every answer."""
    is_view: bool = False
    """True for a second version of a kind: the same objects in another shape."""

    @property
    def api_version(self) -> str:
        """Give `v1` or `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def shape(self) -> str:
        """Give the name of the kind's shape: `Pod`, or `autoscaling/v1 X` for a view."""
        return f"{self.api_version} {self.name}" if self.is_view else self.name

    @property
    def singular(self) -> str:
        """Give the lower-case name kubectl accepts."""
        return self.name.lower()

    @property
    def list_name(self) -> str:
        """Give the kind of a list of these."""
        return f"{self.name}List"


KINDS: tuple[Kind, ...] = (
    Kind("", "v1", "Namespace", "namespaces", ("ns",), namespaced=False, has_status=True,
         subresources=("finalize",), verbs=tuple(v for v in ALL_VERBS if v != "deletecollection"),
         selectable=("status.phase",)),
    Kind("", "v1", "Node", "nodes", ("no",), namespaced=False, has_status=True,
         status_on_create=True, subresources=("proxy",), selectable=("spec.unschedulable",)),
    Kind("", "v1", "Pod", "pods", ("po",), has_status=True, counts_generations=True,
         returns_deleted=True, categories=("all",),
         subresources=("log", "binding", "eviction", "proxy", "exec", "attach", "portforward"),
         selectable=("spec.nodeName", "spec.restartPolicy", "spec.schedulerName",
                     "spec.serviceAccountName", "spec.hostNetwork", "status.phase",
                     "status.podIP", "status.nominatedNodeName")),
    Kind("", "v1", "Service", "services", ("svc",), has_status=True, create_on_update=True,
         returns_deleted=True, categories=("all",), subresources=("proxy",),
         selectable=("spec.clusterIP", "spec.type")),
    Kind("", "v1", "Endpoints", "endpoints", ("ep",), create_on_update=True,
         deprecated="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
    Kind("", "v1", "ConfigMap", "configmaps", ("cm",)),
    Kind("", "v1", "Secret", "secrets", selectable=("type",)),
    Kind("", "v1", "Event", "events", ("ev",), create_on_update=True,
         selectable=("involvedObject.kind", "involvedObject.namespace", "involvedObject.name",
                     "involvedObject.uid", "involvedObject.apiVersion",
                     "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
                     "reportingComponent", "source", "type")),
    Kind("", "v1", "ServiceAccount", "serviceaccounts", ("sa",), returns_deleted=True),
    Kind("apps", "v1", "Deployment", "deployments", ("deploy",), has_status=True,
         counts_generations=True, subresources=("scale",), categories=("all",)),
    Kind("apps", "v1", "ReplicaSet", "replicasets", ("rs",), has_status=True,
         counts_generations=True, subresources=("scale",), categories=("all",),
         selectable=("status.replicas",)),
    Kind("batch", "v1", "Job", "jobs", has_status=True, counts_generations=True, orphans=True,
         categories=("all",), selectable=("status.successful",)),
    Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", ("hpa",),
         has_status=True, categories=("all",)),
    Kind("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", ("hpa",),
         has_status=True, categories=("all",), is_view=True),
    Kind("events.k8s.io", "v1", "Event", "events", ("ev",), create_on_update=True, is_view=True,
         selectable=("regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid",
                     "regarding.apiVersion", "regarding.resourceVersion", "regarding.fieldPath",
                     "reason", "reportingController", "type")),
    Kind("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews",
         namespaced=False, verbs=("create",), stored=False),
    Kind("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews",
         namespaced=False, verbs=("create",), stored=False),
    Kind("authorization.k8s.io", "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews",
         namespaced=False, verbs=("create",), stored=False),
    Kind("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews",
         namespaced=False, verbs=("create",), stored=False),
    Kind("metrics.k8s.io", "v1beta1", "NodeMetrics", "nodes", namespaced=False,
         verbs=("get", "list"), stored=False),
    Kind("metrics.k8s.io", "v1beta1", "PodMetrics", "pods", verbs=("get", "list"), stored=False),
    Kind("coordination.k8s.io", "v1", "Lease", "leases", create_on_update=True,
         needs_version=True),
    Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", counts_generations=True),
    Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", ("netpol",),
         counts_generations=True),
    Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", ("pdb",),
         has_status=True, counts_generations=True, needs_version=True),
)  # fmt: skip

BY_NAME: dict[str, Kind] = {kind.name: kind for kind in KINDS if not kind.is_view}
"""Kind -> the version it is stored in."""
STORED = tuple(kind for kind in BY_NAME.values() if kind.stored)
"""What there are objects of, each kind once."""
BY_ROUTE: dict[tuple[str, str, str], Kind] = {
    (kind.group, kind.version, kind.plural): kind for kind in KINDS
}
