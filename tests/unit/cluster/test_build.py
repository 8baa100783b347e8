# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The build cache: what changes a key, what an interrupted build leaves, and that only one process builds."""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.build import ensure
from tests.cluster.build.golang import MODULES
from tests.cluster.build.recipe import Built, Recipe, builds_dir, finished_dir, key
from tests.cluster.build.recipes import PRODUCTS, RECIPES
from tests.cluster.build.scheduler import in_order, only_builder, run
from tests.cluster.errors import ClusterError
from tests.cluster.versions import VERSIONS

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _writer(log: list[str], name: str) -> Callable[[Path, Built], None]:
    def build(target: Path, built: Built) -> None:
        log.append(name)
        (target / "result").write_text(name)

    return build


def _chain(log: list[str], *, leaf_input: str = "1", root_input: str = "1") -> dict[str, Recipe]:
    leaf = Recipe("leaf", (leaf_input,), _writer(log, "leaf"), compiles=False)
    root = Recipe("root", (root_input,), _writer(log, "root"), needs=("leaf",))
    return {"leaf": leaf, "root": root}


def test_key_follows_inputs_of_needs() -> None:
    same = key(_chain([])["root"], _chain([]))
    changed = _chain([], leaf_input="2")
    assert key(_chain([])["root"], _chain([])) == same
    assert key(changed["root"], changed) != same


def test_key_of_a_need_ignores_its_dependents() -> None:
    changed = _chain([], root_input="2")
    assert key(changed["leaf"], changed) == key(_chain([])["leaf"], _chain([]))


@pytest.mark.parametrize("change", ["content", "name"])
def test_key_follows_recipe_files(tmp_path: Path, change: str) -> None:
    directory = tmp_path / "module"
    directory.mkdir()
    (directory / "go.mod").write_text("go 1.26")
    recipe = Recipe("a", (directory,), _writer([], "a"))
    before = key(recipe, {"a": recipe})
    if change == "content":
        (directory / "go.mod").write_text("go 1.27")
    else:
        (directory / "go.mod").rename(directory / "go.sum")
    assert key(recipe, {"a": recipe}) != before


def test_needs_are_built_first_and_only_once() -> None:
    log: list[str] = []
    recipes = _chain(log)
    for _attempt in range(2):
        assert (run(recipes, ["root"])["root"] / "result").read_text() == "root"
    assert log == ["leaf", "root"]


def test_finished_product_does_not_build_its_needs() -> None:
    log: list[str] = []
    recipes = _chain(log)
    run(recipes, ["root"])
    (finished_dir(recipes["leaf"], recipes) / "result").unlink()
    finished_dir(recipes["leaf"], recipes).rmdir()
    run(recipes, ["root"])
    assert log == ["leaf", "root"]


def test_order_follows_the_table() -> None:
    recipes = _chain([]) | {"other": Recipe("other", (), _writer([], "other"))}
    assert [recipe.name for recipe in in_order(recipes, ["root"])] == ["leaf", "root"]


def test_failed_build_is_not_finished() -> None:
    attempts: list[str] = []

    def build(target: Path, built: Built) -> None:
        attempts.append("try")
        assert not list(target.iterdir()), "files of the first attempt remain"
        (target / "half").write_text("half")
        if len(attempts) == 1:
            raise ClusterError("The disk is full: free some space.")

    recipes = {"a": Recipe("a", (), build)}
    with pytest.raises(ClusterError, match="disk is full"):
        run(recipes, ["a"])
    assert not finished_dir(recipes["a"], recipes).exists()
    run(recipes, ["a"])
    assert (finished_dir(recipes["a"], recipes) / "half").exists()


def test_killed_build_leaves_no_result_and_no_lock() -> None:
    script = """
import sys, time
from tests.cluster.build.recipe import Recipe
from tests.cluster.build.scheduler import run
def build(target, built):
    (target / "half").write_text("half")
    print("started", flush=True)
    time.sleep(600)
run({"a": Recipe("a", (), build)}, ["a"])
"""
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "started\n"
    process.kill()
    process.wait()
    log: list[str] = []
    recipes = {"a": Recipe("a", (), _writer(log, "a"))}
    assert not finished_dir(recipes["a"], recipes).exists()
    result = run(recipes, ["a"])["a"]
    assert [path.name for path in result.iterdir()] == ["result"]


def test_second_builder_waits_and_finds_the_result() -> None:
    log: list[str] = []
    recipes = _chain(log)
    with only_builder():
        second = threading.Thread(target=run, args=(recipes, ["root"]))
        second.start()
        time.sleep(0.3)
        assert log == []
        for recipe in recipes.values():
            finished_dir(recipe, recipes).mkdir()
    second.join(10)
    assert log == []


def test_lock_is_released_after_a_build() -> None:
    run(_chain([]), ["root"])
    with (builds_dir() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_seconds_are_recorded() -> None:
    run(_chain([]), ["root"])
    run(_chain([], root_input="2"), ["root"])
    assert set(json.loads((builds_dir() / "times.json").read_text())) == {"leaf", "root"}


def test_unknown_product_is_named() -> None:
    with pytest.raises(ClusterError, match="kubernets"):
        ensure("kubernets")


def test_recipes_come_after_their_needs() -> None:
    names = list(RECIPES)
    for recipe in RECIPES.values():
        assert all(names.index(need) < names.index(recipe.name) for need in recipe.needs)
    assert {product.recipe for product in PRODUCTS.values()} <= set(names)


@pytest.mark.parametrize(
    ("module", "dependency", "version"),
    [
        ("kubernetes", "k8s.io/kubernetes", VERSIONS.kubernetes),
        ("etcd", "go.etcd.io/etcd/server/v3", VERSIONS.etcd),
        ("coredns", "github.com/coredns/coredns", VERSIONS.coredns),
        ("csi-provisioner", "github.com/kubernetes-csi/external-provisioner/v5", VERSIONS.csi_provisioner),
        ("sidecars", "github.com/kubernetes-csi/external-snapshotter/v8", VERSIONS.external_snapshotter),
        ("sidecars", "github.com/kubernetes-csi/external-snapshotter/client/v8", VERSIONS.external_snapshotter),
        ("sidecars", "github.com/kubernetes-csi/external-resizer/v2", VERSIONS.csi_resizer),
        ("sidecars", "github.com/kubernetes-csi/csi-test/v5", VERSIONS.csi_test),
        ("versitygw", "github.com/versity/versitygw", VERSIONS.versitygw),
        ("kubevirt", "kubevirt.io/kubevirt", VERSIONS.kubevirt),
        *((f"cdi-v{version}", "kubevirt.io/containerized-data-importer", version) for version in VERSIONS.cdi),
    ],
)
def test_go_modules_pin_the_versions_of_the_table(module: str, dependency: str, version: str) -> None:
    pattern = rf"^(?:require )?\s*{re.escape(dependency)} v(\S+)"
    assert re.findall(pattern, (MODULES / module / "go.mod").read_text(), re.MULTILINE) == [version]
