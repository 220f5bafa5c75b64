"""Who may do what: whoever has a token may do everything, whom he impersonates may do little.

Pure. There is no RBAC to ask: an impersonated user has the rights that every cluster gives to
anybody, which are those to look around and to ask for his rights, unless he is an administrator.
Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
and https://kubernetes.io/docs/reference/access-authn-authz/rbac/#api-discovery-roles
"""

from collections.abc import Iterable
from dataclasses import dataclass

from multidict import MultiMapping

from lab_utils.controlplane.config import ADMIN
from lab_utils.controlplane.requestinfo import RequestInfo
from lab_utils.controlplane.status import ApiError, bad_request, forbidden

ADMINS, _NODES, _EVERYONE = "kubeadm:cluster-admins", "system:nodes", "system:authenticated"
_ADMIN_GROUPS = {ADMINS, "system:masters"}
_PUBLIC = ("/api", "/apis", "/healthz", "/livez", "/readyz", "/openapi", "/version")
_OWN_REVIEWS = ("selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews")


def is_admin(name: str, groups: Iterable[str]) -> bool:
    """Tell whether somebody, known only by name and groups, may do everything."""
    return name == ADMIN or not _ADMIN_GROUPS.isdisjoint(groups)


@dataclass(frozen=True)
class User:
    """Who a request is done as."""

    name: str
    groups: tuple[str, ...]
    may_do_everything: bool

    @classmethod
    def of_token(cls, name: str) -> "User":
        """Give the owner of a token."""
        group = _NODES if name.startswith("system:node:") else ADMINS
        return cls(name, (group, _EVERYONE), may_do_everything=True)

    @classmethod
    def of_request(cls, owner: str, headers: MultiMapping[str]) -> "User":
        """Give whom the owner of a token wants to be (400, only a part of whom)."""
        name = headers.get("Impersonate-User", "")
        groups = headers.getall("Impersonate-Group", [])
        if name:
            return cls(name, (*groups, _EVERYONE), may_do_everything=is_admin(name, groups))
        if groups:
            listed = ", ".join(f'"{one}"' for one in groups)
            who = f'&user.DefaultInfo{{Name:"", UID:"", Groups:[]string{{{listed}}}, '
            who += "Extra:map[string][]string(nil)}"
            raise bad_request(f"requested {who} without impersonating a user name")
        return cls.of_token(owner)


def authorize_path(user: User, method: str, path: str) -> None:
    """Refuse a path that is no object to whom it is not for (403)."""
    is_public = any(f"{path}/".startswith(f"{one}/") for one in _PUBLIC) and path != "/healthz/etcd"
    if not user.may_do_everything and not is_public:
        verb = method.lower()
        message = f'forbidden: User "{user.name}" cannot {verb} path "{path}"'
        raise ApiError(403, "Forbidden", message, details={})


def authorize(user: User, verb: str, info: RequestInfo) -> None:
    """Refuse a verb on a resource to whom it is not for (403)."""
    if user.may_do_everything or (verb == "create" and info.plural in _OWN_REVIEWS):
        return
    resource = f"{info.plural}/{info.subresource}" if info.subresource else info.plural
    scope = f'in the namespace "{info.namespace}"' if info.namespace else "at the cluster scope"
    why = f'User "{user.name}" cannot {verb} resource "{resource}" in API group "{info.group}"'
    raise forbidden(info.group, info.plural, info.name, f"{why} {scope}")
