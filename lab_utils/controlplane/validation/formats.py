"""What names, labels, ports and addresses may look like, in Kubernetes' words.

Each function takes a value and gives the texts of what is wrong with it, none if nothing is. Never
knows which field the value came from.

Source:
    https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and
    k8s.io/apimachinery/pkg/util/validation, whose texts these are.
"""

import ipaddress
import re

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


def _matches(pattern: str, value: str) -> bool:
    return re.fullmatch(pattern, value, re.ASCII) is not None


def _limit(value: str, size: int, unit: str = "characters") -> list[str]:
    return [f"must be no more than {size} {unit}"] if len(value) > size else []


def dns_label(value: str) -> list[str]:
    """Check a name of one part: `my-name`."""
    return _limit(value, 63) + ([] if _matches(_LABEL, value) else [_LABEL_RULE])


def dns_label_name(value: str) -> list[str]:
    """Check the name of a Service or Namespace: dots have a text of their own."""
    if "." in value and _matches(_SUBDOMAIN, value):
        return ["must not contain dots"]
    return dns_label(value)


def dns_subdomain(value: str) -> list[str]:
    """Check a name with dots: `example.com`."""
    return _limit(value, 253) + ([] if _matches(_SUBDOMAIN, value) else [_SUBDOMAIN_RULE])


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
    problems += [f"name part {text}" for text in _limit(name, 63, "bytes")]
    return problems + ([] if _matches(_NAME_PART, name) else [f"name part {_NAME_PART_RULE}"])


def label_value(value: str) -> list[str]:
    """Check the value of a label."""
    good = not value or _matches(_NAME_PART, value)
    return _limit(value, 63, "bytes") + ([] if good else [_LABEL_VALUE_RULE])


def port_name(value: str) -> list[str]:
    """Check the name of a port: at most 15 characters, a letter among them."""
    problems = _limit(value, 15)
    if not _matches("[-a-z0-9]+", value):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    elif not re.search("[a-z]", value):
        problems.append("must contain at least one letter (a-z)")
    elif "--" in value:
        problems.append("must not contain consecutive hyphens")
    elif value[0] == "-" or value[-1] == "-":
        problems.append("must not begin or end with a hyphen")
    return problems


def port_number(value: int) -> list[str]:
    """Check a port number."""
    return [] if 1 <= value <= 65535 else ["must be between 1 and 65535, inclusive"]


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
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]
    return (
        [] if "/" in value else ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]
    )


def env_name(value: str) -> list[str]:
    """Check the name of an environment variable."""
    return [] if _matches(r"[ -<>-~]+", value) else [_ENV_RULE]


def config_key(value: str) -> list[str]:
    """Check a key of a ConfigMap or Secret."""
    problems = _limit(value, 253)
    if not _matches("[-._a-zA-Z0-9]+", value):
        return [*problems, _CONFIG_KEY_RULE]
    if value in (".", ".."):
        return [*problems, f"must not be '{value}'"]
    return [*problems, "must not start with '..'"] if value.startswith("..") else problems


def http_header(value: str) -> list[str]:
    """Check the name of an HTTP header."""
    return [] if _matches("[-A-Za-z0-9]+", value) else [_HEADER_RULE]


def percent(value: str) -> list[str]:
    """Check a percentage such as "25%"."""
    return [] if _matches("[0-9]+%", value) else [_PERCENT_RULE]
