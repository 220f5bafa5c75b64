"""What names, labels, ports and addresses may look like, in Kubernetes' words.

Each function takes a value and gives the texts of what is wrong with it, none if nothing is. Never
knows which field the value came from.

Source:
    https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and
    k8s.io/apimachinery/pkg/util/validation, whose texts these are.
"""

import ipaddress
import re
from collections.abc import Callable

Format = Callable[[str], list[str]]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_NAME_PART = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_START_AND_END = "and must start and end with an alphanumeric character"
_LABEL_RULE = (
    f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    f"{_START_AND_END} (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_SUBDOMAIN_RULE = (
    f"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    f"'.', {_START_AND_END} (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_NAME_PART_RULE = (
    f"must consist of alphanumeric characters, '-', '_' or '.', {_START_AND_END} "
    f"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_NAME_PART}')"
)
_LABEL_VALUE_RULE = (
    f"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    f"'.', {_START_AND_END} (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
    f"validation is '({_NAME_PART})?')"
)
_CONFIG_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name', "
    " or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_HEADER_RULE = (
    "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', "
    "regex used for validation is '[-A-Za-z0-9]+')"
)
_PERCENT_RULE = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or "
    "'93%', regex used for validation is '[0-9]+%')"
)
_ENV_RULE = (
    "a valid environment variable name must consist only of printable ASCII characters other "
    "than '='"
)


def _like(pattern: str, rule: str) -> Format:
    return lambda value: [] if re.fullmatch(pattern, value, re.ASCII) else [rule]


def _at_most(size: int, unit: str = "characters") -> Format:
    return lambda value: [f"must be no more than {size} {unit}"] if len(value) > size else []


def _all(*formats: Format) -> Format:
    return lambda value: [why for one in formats for why in one(value)]


dns_label = _all(_at_most(63), _like(_LABEL, _LABEL_RULE))
"""A name of one part: `my-name`."""
dns_subdomain = _all(_at_most(253), _like(_SUBDOMAIN, _SUBDOMAIN_RULE))
"""A name with dots: `example.com`."""
label_value = _all(_at_most(63, "bytes"), _like(f"({_NAME_PART})?", _LABEL_VALUE_RULE))
env_name = _like(r"[ -<>-~]+", _ENV_RULE)
http_header = _like("[-A-Za-z0-9]+", _HEADER_RULE)
percent = _like("[0-9]+%", _PERCENT_RULE)
_name_part = _all(_at_most(63, "bytes"), _like(_NAME_PART, _NAME_PART_RULE))


def dns_label_name(value: str) -> list[str]:
    """Check the name of a Service or Namespace: dots have a text of their own."""
    has_dots = "." in value and not _like(_SUBDOMAIN, "no")(value)
    return ["must not contain dots"] if has_dots else dns_label(value)


def qualified_name(value: str) -> list[str]:
    """Check the key of a label: `app` or `example.com/app`."""
    *prefix, name = value.split("/")
    if len(prefix) > 1:
        return [
            f"a valid label key {_NAME_PART_RULE} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')"
        ]
    problems = []
    if prefix and not prefix[0]:
        problems.append("prefix part must be non-empty")
    elif prefix:
        problems += [f"prefix part {text}" for text in dns_subdomain(prefix[0])]
    if not name:
        problems.append("name part must be non-empty")
    return problems + [f"name part {text}" for text in _name_part(name)]


def port_name(value: str) -> list[str]:
    """Check the name of a port: at most 15 characters, a letter among them."""
    problems = _at_most(15)(value)
    if not re.fullmatch("[-a-z0-9]+", value):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    elif not re.search("[a-z]", value):
        problems.append("must contain at least one letter (a-z)")
    elif "--" in value:
        problems.append("must not contain consecutive hyphens")
    elif value[0] == "-" or value[-1] == "-":
        problems.append("must not begin or end with a hyphen")
    return problems


def ip_address(value: str) -> list[str]:
    """Check an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    return []


def cidr(value: str) -> list[str]:
    """Check a network such as 10.0.0.0/8."""
    try:
        ipaddress.ip_network(value if "/" in value else "", strict=False)
    except ValueError:
        return ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]
    return []


def config_key(value: str) -> list[str]:
    """Check a key of a ConfigMap or Secret."""
    problems = _all(_at_most(253), _like("[-._a-zA-Z0-9]+", _CONFIG_KEY_RULE))(value)
    if value in (".", ".."):
        problems.append(f"must not be '{value}'")
    elif value.startswith("..") and not problems:
        problems.append("must not start with '..'")
    return problems


def trimmed(value: str) -> list[str]:
    """Check that there is no space around a text."""
    return [] if value == value.strip() else ["must not have leading or trailing whitespace"]


def path(value: str) -> list[str]:
    """Check a path that may not climb."""
    return ["must not contain '..'"] if ".." in value.split("/") else []


def relative_path(value: str) -> list[str]:
    """Check a path that stays in the volume it is in."""
    return (["must be a relative path"] if value.startswith("/") else []) + path(value)
