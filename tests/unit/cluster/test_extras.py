# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extras of a cluster: which cluster has what is wanted, and options that no cluster can have."""

from __future__ import annotations

import pytest

from tests.cluster.errors import ClusterError
from tests.cluster.runtime import storage
from tests.cluster.runtime.extras import Extras, from_options, save, saved
from tests.cluster.runtime.profile import PROFILES, Profile

FULL = PROFILES["full"]


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Profile:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    FULL.state.mkdir(parents=True)
    return FULL


@pytest.mark.parametrize(
    ("wanted", "covered"),
    [
        (Extras(), True),
        (Extras(kubevirt=True), True),
        (Extras(kubevirt=True, nodes=2), False),
        (Extras(nodes=2), False),
    ],
)
def test_cluster_with_kubevirt_covers_less_than_two_nodes(wanted: Extras, covered: bool) -> None:
    assert Extras(kubevirt=True).covers(wanted) is covered


@pytest.mark.parametrize(("kubevirt", "more"), [(False, []), (True, ["small"])])
def test_cluster_with_kubevirt_has_a_class_with_a_small_pool_of_its_own(
    full: Profile, kubevirt: bool, more: list[str]
) -> None:
    save(full, Extras(kubevirt=kubevirt))
    found = storage.objects(full)
    classes = {item["metadata"]["name"]: item["provisioner"] for item in found if item["kind"] == "StorageClass"}
    others = {"thin", "thin-wffc", "thin-fixed", "plain", "block-only"}
    assert classes.keys() - others == set(more) and others <= classes.keys()
    drivers = {item["metadata"]["name"] for item in found if item["kind"] == "CSIDriver"}
    assert drivers == set(classes.values())
    assert len(storage.pools(full)) == 1 + len(more)


def test_plain_cluster_does_not_cover_kubevirt() -> None:
    assert not Extras().covers(Extras(kubevirt=True))


def test_saved_extras_are_those_of_the_last_start(full: Profile) -> None:
    assert saved(full) == Extras()
    save(full, Extras(kubevirt=True, nodes=2))
    assert saved(full) == Extras(kubevirt=True, nodes=2)


@pytest.mark.parametrize(
    ("profile", "names", "nodes", "sentence"),
    [
        ("full", ["kubevirt", "openshift"], 1, "There is no extra 'openshift': use --with kubevirt."),
        ("full", [], 0, "--nodes is 0: use 1 or 2."),
        ("api", ["kubevirt"], 1, "The api cluster runs no pods: use --with kubevirt with --profile full."),
        ("api", [], 2, "The api cluster runs no pods: use --nodes 2 with --profile full."),
    ],
)
def test_wrong_option_is_named(profile: str, names: list[str], nodes: int, sentence: str) -> None:
    with pytest.raises(ClusterError) as raised:
        from_options(PROFILES[profile], names, nodes)
    assert str(raised.value) == sentence
