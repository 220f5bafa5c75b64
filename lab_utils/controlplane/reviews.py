"""Questions about who somebody is and what he may do, answered as objects.

Pure; `authorization` says who may do what.
Source: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from lab_utils.controlplane.authorization import ADMINS, User, is_admin
from lab_utils.controlplane.status import Cause, Object, invalid
from lab_utils.controlplane.timestamps import rfc3339
from lab_utils.controlplane.validation import causes

_WHY = (
    f'RBAC: allowed by ClusterRoleBinding "{ADMINS}" of ClusterRole "cluster-admin" to '
    f'Group "{ADMINS}"'
)
_ALLOWED, _DENIED = {"allowed": True, "reason": _WHY}, {"allowed": False}
_RULES = {
    "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    "incomplete": False,
}
_ATTRIBUTES = ("resourceAttributes", "nonResourceAttributes")


def review(kind: str, question: Object, user: User, now: datetime) -> Object:
    """Answer a review; the answer may lack kind and apiVersion where the question does.

    Args:
        kind: SelfSubjectReview or one of the access reviews.
        question: The object that was sent, decoded.
        user: Who asks.
        now: The time of the answer.

    Raises:
        ApiError: 422, the question is none.
    """
    return {"metadata": {}} | question | _REVIEWS[kind](question, user, now)


def _self(_question: Object, user: User, now: datetime) -> Object:
    status = {"userInfo": {"username": user.name, "groups": list(user.groups)}}
    return {"metadata": {"creationTimestamp": rfc3339(now)}, "status": status}


def _own_access(question: Object, user: User, _now: datetime) -> Object:
    _require([*_check_attributes(question.get("spec", {}))])
    return {"status": _ALLOWED if user.may_do_everything else _DENIED}


def _own_rules(question: Object, user: User, _now: datetime) -> Object:
    if not question.get("spec", {}).get("namespace"):
        _require([causes.required("spec.namespace", "namespace must be specified")])
    none = {"resourceRules": [], "nonResourceRules": [], "incomplete": False}
    return {"status": _RULES if user.may_do_everything else none}


def _access(question: Object, _user: User, _now: datetime) -> Object:
    """Answer for somebody else."""
    spec = question.get("spec", {})
    found = _check_attributes(spec)
    if not spec.get("user") and not spec.get("groups"):
        found.append(causes.invalid("spec.user", "", "at least one of user or group must be "
                                                     "specified"))  # fmt: skip
    _require(found)
    may = is_admin(spec.get("user", ""), spec.get("groups", ()))
    return {"status": _ALLOWED if may else _DENIED}


def _check_attributes(spec: Object) -> list[Cause]:
    if sum(name in spec for name in _ATTRIBUTES) == 1:
        return []
    why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
    return [causes.invalid("spec.resourceAttributes", spec.get("resourceAttributes"), why)]


def _require(found: list[Cause]) -> None:
    if found:
        raise invalid("authorization.k8s.io", "", "", found)


_REVIEWS: Mapping[str, Callable[[Object, User, datetime], Object]] = MappingProxyType({
    "SelfSubjectReview": _self, "SelfSubjectAccessReview": _own_access,
    "SelfSubjectRulesReview": _own_rules, "SubjectAccessReview": _access,
})  # fmt: skip
