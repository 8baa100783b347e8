# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which traces of CDI name its namespace."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi.installation import namespace_of

OPERATOR = {"metadata": {"name": "cdi-operator", "namespace": "from-operator"}}
UPLOAD_API = {"spec": {"service": {"name": "cdi-api", "namespace": "from-api"}}}
BINDING = {"subjects": [{"kind": "ServiceAccount", "name": "cdi-operator", "namespace": "from-binding"}]}


@pytest.mark.parametrize(
    ("traces", "namespace"),
    [
        ({}, None),
        ({"operator": OPERATOR, "upload_api": UPLOAD_API, "binding": BINDING}, "from-operator"),
        ({"upload_api": UPLOAD_API, "binding": BINDING}, "from-api"),
        ({"upload_api": {"spec": {"service": None}}, "binding": BINDING}, "from-binding"),
        ({"upload_api": {"spec": {}}}, None),
        ({"binding": {"subjects": None}}, None),
        ({"binding": {}}, None),
    ],
)
def test_namespace_is_that_of_the_first_trace(traces: dict[str, Any], namespace: str | None) -> None:
    assert namespace_of(**traces) == namespace
