# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Converts options to API fields: `cert_config_map` becomes `certConfigMap`. Options are the fields in snake_case."""

from __future__ import annotations

import typing as t

# Fields that do not follow the rule: CDI's (staging/src/kubevirt.io/containerized-data-importer-api/.../types.go,
# v1.65.0) and KubeVirt's (staging/src/kubevirt.io/api/core/v1/schema.go, v1.8.2).
_SPELLINGS = {
    "data_volume_ttl_seconds": "dataVolumeTTLSeconds",
    "dedicated_io_thread": "dedicatedIOThread",
    "downward_api": "downwardAPI",
    "http_proxy": "HTTPProxy",
    "https_proxy": "HTTPSProxy",
    "init_image_url": "initImageURL",
    "min_tls_version": "minTLSVersion",
    "trusted_ca_proxy": "trustedCAProxy",
    "upload_proxy_url_override": "uploadProxyURLOverride",
}


def field_name(option: str) -> str:
    """The API's name of an option."""
    first, *rest = option.split("_")
    return _SPELLINGS.get(option) or first + "".join(word.capitalize() for word in rest)


def to_fields(values: t.Mapping[str, t.Any], options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The API object for option values, without options that are not set.

    `options` is their argument spec. Dictionaries without suboptions (labels, selectors) are kept.
    """
    fields = {}
    for option, spec in options.items():
        value = values.get(option)
        if value is None:
            continue
        below = spec.get("options")
        if below and spec["type"] == "list":
            value = [to_fields(item, below) for item in value]
        elif below:
            value = to_fields(value, below)
        fields[field_name(option)] = value
    return fields
