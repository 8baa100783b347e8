# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validates names, labels, URLs and quantities in options, and strips white space. Pure rules.

A value that the API server would reject is refused with its option and the rule.
"""

from __future__ import annotations

import re
import typing as t
from urllib.parse import urlsplit

from .._kubernetes.errors import CdiError
from .._kubernetes.public import public_url
from .._kubernetes.quantity import parse

Options = t.Mapping[str, t.Any]

# Kinds of options. A rule returns the problem and its remedy, or an empty string.
NAME, NAMESPACE, SEGMENT, URL, SIZE = "name", "namespace", "segment", "url", "size"
LABELS, ANNOTATIONS, LABEL_KEY, LABEL_VALUE = "labels", "annotations", "label_key", "label_value"
QUANTITIES, PLAIN, FREE = "quantities", "plain", "free"
# By the name of the option, or by the last two parts of its path where the name is ambiguous.
KINDS: dict[str, str] = {
    **dict.fromkeys(
        (
            "name",
            "names",
            "machines",
            "secret_ref",
            "cert_config_map",
            "secret_extra_headers",
            "volume_name",
            "volume_attributes_class_name",
            "priority_class_name",
            "service_account_name",
            "extra_args",
            "trusted_ca_proxy",
            "snapshot_class",
            "priority_class",
            "image_pull_secrets",
        ),
        NAME,
    ),
    **dict.fromkeys(("namespace", "cdi_namespace"), NAMESPACE),
    # Names of objects of any kind, and storage classes: for these, the list of existing classes helps more than a rule.
    **dict.fromkeys(
        ("data_source.name", "data_source_ref.name", "storage_class_name", "scratch_space_storage_class"), SEGMENT
    ),
    **dict.fromkeys(("url", "http_proxy", "https_proxy", "upload_proxy_url"), URL),
    "size": SIZE,
    **dict.fromkeys(("labels", "match_labels", "node_selector"), LABELS),
    "annotations": ANNOTATIONS,
    "match_expressions.key": LABEL_KEY,
    "match_expressions.values": LABEL_VALUE,
    "filesystem_overhead.storage_class": FREE,
    **dict.fromkeys(("limits", "requests"), QUANTITIES),
    **dict.fromkeys(
        (
            "checksum",
            "image_stream",
            "architecture",
            "disk_id",
            "uuid",
            "backing_file",
            "thumbprint",
            "init_image_url",
            "data_source.kind",
            "data_source_ref.kind",
            "api_group",
            "previous",
            "current",
            "version",
            "manifest",
            "image_registry",
            "duration",
            "renew_before",
            "resource_name",
            "resource_type",
            "global",
            "upload_proxy_url_override",
            "upload_proxy_ca",
            "feature_gates",
            "insecure_registries",
            "label_selectors",
            "claims.request",
            "planned_sources",
        ),
        PLAIN,
    ),
    **dict.fromkeys(
        (
            "path",
            "paths",
            "progress_file",
            "extra_headers",
            "no_proxy",
            "ciphers",
            "users",
            "groups",
            "tolerations",
            "affinity",
            "api",
            "controller",
            "upload_proxy",
        ),
        FREE,
    ),
}
# Options where an empty string, often the result of an undefined template, means "not set". This does not hold for
# storage classes.
_EMPTY_IS_UNSET = (
    "secret_ref",
    "cert_config_map",
    "volume_name",
    "volume_attributes_class_name",
    "priority_class_name",
    "service_account_name",
    "extra_args",
    "size",
    "namespace",
)
_LONGEST_NAME, _LONGEST_LABEL = 253, 63
_NAME_CHARACTERS = "lower case letters, digits, '-' and '.'"
# The largest signed 64-bit number (k8s.io/apimachinery/pkg/api/resource/quantity.go, v0.34).
LARGEST = 2**63 - 1


def tidy(
    options: Options, values: Options, kinds: t.Mapping[str, str] | None = None
) -> tuple[dict[str, t.Any], list[str]]:
    """The values without surrounding white space, and warnings about texts that YAML has converted.

    `options` is the argument spec of the values; `kinds` overrides the kinds of options. Raises CdiError with the
    option, the value and the remedy.
    """
    warnings: list[str] = []
    return _tidy(options, values, "", {**KINDS, **(kinds or {})}, warnings), warnings


def kind_of(path: str, kinds: t.Mapping[str, str] | None = None) -> str | None:
    """The kind of an option, None if it is not known."""
    known = kinds or KINDS
    plain = re.sub(r"\[\d+\]", "", path)
    two = ".".join(plain.split(".")[-2:])
    return known.get(two) or known.get(two.rpartition(".")[2])


def _tidy(
    options: Options, values: Options, path: str, kinds: t.Mapping[str, str], warnings: list[str]
) -> dict[str, t.Any]:
    tidied = dict(values)
    for option, spec in options.items():
        value, where = values.get(option), path + option
        below = spec.get("options")
        if value is None:
            continue
        if below is not None and spec["type"] == "list":
            tidied[option] = [
                _tidy(below, item, f"{where}[{number}].", kinds, warnings) for number, item in enumerate(value)
            ]
        elif below is not None:
            tidied[option] = _tidy(below, value, where + ".", kinds, warnings)
        else:
            tidied[option] = _value(where, option, value, spec, kind_of(where, kinds) or FREE, warnings)
    return tidied


def _value(path: str, option: str, value: t.Any, spec: Options, kind: str, warnings: list[str]) -> t.Any:
    if isinstance(value, list):
        return [_value(f"{path}[{number}]", option, item, spec, kind, warnings) for number, item in enumerate(value)]
    if isinstance(value, dict):
        _refuse_keys(path, value, kind)
        warnings += _not_texts(path, value, kind)
        return value
    if not isinstance(value, str) or kind == FREE:
        return value
    stripped = value.strip()
    hidden = bool(spec.get("no_log"))
    if value and not stripped:
        raise CdiError(f"{path} is {value!r}, which is only white space; give a value, or leave the option out.")
    if not stripped and option in _EMPTY_IS_UNSET and not spec.get("required"):
        return None
    if not stripped and kind in (NAME, NAMESPACE) and (spec.get("required") or path == "name"):
        raise CdiError(f"{path} is empty; give a name.")
    if problem := _RULES[kind](stripped) if kind in _RULES and stripped else "":
        shown = "" if hidden else f" {(public_url(stripped) if kind == URL else stripped)!r}"
        raise CdiError(f"{path} is{shown}, which {problem}." if not hidden else f"{path} {problem}.")
    return stripped


def _refuse_keys(path: str, values: t.Mapping[t.Any, t.Any], kind: str) -> None:
    for key, value in values.items():
        if kind == QUANTITIES:
            if size_problem(value):
                raise CdiError(f"{path}.{key} is {value!r}, which {size_problem(value)}.")
            continue
        if kind not in (LABELS, ANNOTATIONS):
            continue
        if problem := label_key_problem(str(key)):
            raise CdiError(f"{path} has the key {key!r}, which {problem}.")
        if kind == LABELS and isinstance(value, str) and (problem := label_value_problem(value)):
            raise CdiError(f"{path}.{key} is {value!r}, which {problem}.")


def _not_texts(path: str, values: t.Mapping[t.Any, t.Any], kind: str) -> list[str]:
    """Warns of values that YAML has converted: 1.10 becomes 1.1, 010 becomes 8, and no becomes false."""
    if kind not in (LABELS, ANNOTATIONS):
        return []
    odd = {key: value for key, value in values.items() if isinstance(value, (bool, int, float))}
    converted = ", ".join(
        f"{key} is {'the boolean' if isinstance(value, bool) else 'the number'} {str(value).lower()}"
        for key, value in odd.items()
    )
    return (
        [
            f"{path}: {converted}; quote the value, because YAML does not keep the spelling "
            "(1.10 becomes 1.1, 010 becomes 8)."
        ]
        if odd
        else []
    )


def name_problem(name: str) -> str:
    """A DNS subdomain, as for most kinds (k8s.io/apimachinery/pkg/util/validation/validation.go, v0.34)."""
    if len(name) > _LONGEST_NAME:
        return f"has {len(name)} characters; a name has at most {_LONGEST_NAME}"
    wrong = _others(name, r"[a-z0-9.-]")
    if wrong:
        return f"contains {wrong}; use {_NAME_CHARACTERS}"
    for edge, how in ((name[:1], "starts"), (name[-1:], "ends")):
        if edge in ("-", "."):
            return f"{how} with '{edge}'; a name starts and ends with a lower case letter or a digit"
    if re.search(r"\.[.-]|-\.", name):
        return (
            "has nothing between two dots, or '-' next to a dot; "
            "each part of a name starts and ends with a letter or a digit"
        )
    return ""


def namespace_problem(name: str) -> str:
    """A DNS label."""
    if len(name) > _LONGEST_LABEL:
        return f"has {len(name)} characters; the name of a namespace has at most {_LONGEST_LABEL}"
    if "." in name:
        return "contains '.'; the name of a namespace has lower case letters, digits and '-'"
    return name_problem(name).replace(_NAME_CHARACTERS, "lower case letters, digits and '-'")


def segment_problem(name: str) -> str:
    """A segment of a path of the API."""
    wrong = _others(name, r"[^/%\s]")
    return (
        f"contains {wrong}, which is not allowed in a name"
        if wrong
        else "is not a valid name"
        if name in (".", "..")
        else ""
    )


def label_key_problem(key: str) -> str:
    """`name`, or `prefix/name` with a DNS subdomain (IsQualifiedName in validation.go)."""
    prefix, slash, name = key.rpartition("/")
    if slash and (not prefix or name_problem(prefix)):
        return f"has the prefix {prefix!r}, which {name_problem(prefix) or 'is empty'}"
    return _label_problem(name, "a key") or ("" if name else "has no name; write name, or prefix/name")


def label_value_problem(value: str) -> str:
    return _label_problem(value, "a label's value")


def _label_problem(text: str, what: str) -> str:
    if len(text) > _LONGEST_LABEL:
        return f"has {len(text)} characters; {what} has at most {_LONGEST_LABEL}" + (
            " after its prefix" if what == "a key" else ""
        )
    wrong = _others(text, r"[A-Za-z0-9_.-]")
    if wrong:
        return f"contains {wrong}; {what} has letters, digits, '-', '_' and '.'"
    if text and not (text[0].isalnum() and text[-1].isalnum()):
        return f"starts or ends with '-', '_' or '.'; {what} starts and ends with a letter or a digit"
    return ""


def url_problem(url: str) -> str:
    """Problems of any URL. Which schemes an option accepts is a rule of the option."""
    if re.search(r"\s", url):
        return "contains white space; write it on one line, and %20 for a space"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return (
            "has no valid port; use one from 1 to 65535"
            if re.search(r":\w*($|/)", url.partition("://")[2])
            else "is not a valid URL; correct it"
        )
    if port == 0:
        return "has port 0; use one from 1 to 65535"
    return (
        "has no host; write for example https://images.example.com/disk.qcow2"
        if parts.scheme in ("http", "https", "docker") and not host
        else ""
    )


def size_problem(size: t.Any) -> str:
    """Whether a size exceeds the limit of Kubernetes. Invalid quantities are refused elsewhere."""
    try:
        return "is not below 8Ei, the limit of Kubernetes; request less" if parse(size) > LARGEST else ""
    except ValueError:
        return ""


def _others(text: str, allowed: str) -> str:
    """The characters of a text that are not allowed, as text for a message."""
    wrong = list(dict.fromkeys(character for character in text if not re.fullmatch(allowed, character)))
    return ", ".join("white space" if character.isspace() else repr(character) for character in wrong[:4])


_RULES: dict[str, t.Callable[[str], str]] = {
    NAME: name_problem,
    NAMESPACE: namespace_problem,
    SEGMENT: segment_problem,
    URL: url_problem,
    SIZE: size_problem,
    LABEL_KEY: label_key_problem,
    LABEL_VALUE: label_value_problem,
}
