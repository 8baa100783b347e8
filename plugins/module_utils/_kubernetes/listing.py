# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists all objects of a kind, page by page."""

from __future__ import annotations

import typing as t

from .answers import list_in, value_of
from .api import Api
from .errors import ApiError, WatchExpired, target
from .objects import Object, Objects
from .resources import Resource

PAGE_SIZE = 500
_EXPIRED_LISTS = 5


def list_all(
    api: Api,
    resource: Resource,
    namespace: str | None,
    *,
    label_selector: str,
    field_selector: str,
    within_seconds: float | None,
) -> tuple[Objects, str]:
    """All objects of one namespace or of the cluster, page by page, and the resource version of the list.

    With `within_seconds`, no request is repeated, and an answer that takes longer raises ApiError.
    """
    query = {"limit": str(PAGE_SIZE), "labelSelector": label_selector, "fieldSelector": field_selector}
    items: Objects = []
    expired = 0
    while True:
        try:
            page = _page(api, resource, namespace, query, within_seconds)
        except WatchExpired as exc:
            if "continue" not in query or expired >= _EXPIRED_LISTS:
                raise ApiError(
                    f"Cannot list {target(resource, namespace, None)}: the list expired on {api.host} (HTTP 410); "
                    "run the task again.",
                    410,
                ) from exc
            expired += 1
            # With many objects or a slow server, the version of the first page is no longer kept: start again.
            items = []
            del query["continue"]
            continue
        items += page["items"]
        if not page["metadata"].get("continue"):
            return items, page["metadata"]["resourceVersion"]
        if page["metadata"]["continue"] == query.get("continue"):
            raise ApiError(
                f"Cannot list {target(resource, namespace, None)}: {api.host} repeats the same page; "
                "check the proxies on the way.",
                200,
            )
        query["continue"] = page["metadata"]["continue"]


def _page(
    api: Api, resource: Resource, namespace: str | None, query: t.Mapping[str, str], within_seconds: float | None
) -> Object:
    answer = api.send("list", "GET", resource, namespace, None, query=query, within_seconds=within_seconds)
    page = list_in(value_of(answer), resource.kind)
    if page is None:
        from .refusals import foreign_answer

        raise foreign_answer("list", resource, namespace, None, answer, api.host)
    return page
