# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents: links have targets, examples are valid, and versions agree."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.runner import docs, role_readmes
from tests.runner.tree import ROOT
from tests.runner.versions import COMBINATIONS

README = (ROOT / "README.md").read_text()
BLOB, RAW = (
    "https://github.com/kubevirt/kubevirt.cdi/blob/main/",
    "https://raw.githubusercontent.com/kubevirt/kubevirt.cdi/main/",
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
DOCUMENTS = sorted(
    path
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("roles/*/README.md"),
        *ROOT.glob(".github/*.md"),
    ]
)
GUIDES = sorted(path for path in ROOT.glob("docs/*.md") if path.name != "README.md")
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())


def links(document: Path) -> list[str]:
    return LINK.findall(CODE.sub("", document.read_text()))


def anchors(document: Path) -> set[str]:
    """The anchors of the headings, as on GitHub."""
    titles = re.findall(r"(?m)^#+ (.+)$", re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def yaml_blocks(text: str) -> list[Any]:
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


def test_links_of_the_readme_are_absolute() -> None:
    """Galaxy shows the README without the files around it."""
    assert [link for link in LINK.findall(README) if not link.startswith("https://")] == []
    assert "<img" not in README


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_into_this_repository_have_targets(document: Path) -> None:
    for link in links(document):
        target, _hash, anchor = link.partition("#")
        for prefix in (BLOB, RAW):
            if target.startswith(prefix):
                path = ROOT / target.removeprefix(prefix)
                break
        else:
            if re.match(r"https?:|mailto:", target):
                continue
            path = document.parent / target if target else document
        assert path.exists(), f"{document.name}: {link}"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{document.name}: {link}"


def test_list_of_guides_is_complete() -> None:
    listed = links(ROOT / "docs" / "README.md")
    assert [guide.name for guide in GUIDES if guide.name not in listed] == []


def test_guide_on_the_site_links_to_guides_and_to_files_in_the_repository() -> None:
    kept = "[a](clones.md#x) [d](https://host/x.md) ![e](images/report.png)"
    assert docs.with_absolute_links(f"{kept} [b](../playbooks/site.yml) [c](rbac/tenant.yml#L3)") == (
        f"{kept} [b]({BLOB}playbooks/site.yml) [c]({BLOB}docs/rbac/tenant.yml#L3)"
    )


def test_readme_begins_with_installation_and_requirements() -> None:
    """Sections for developers come last."""
    sections = re.findall(r"(?m)^## (.+)$", README)
    assert sections[:2] == ["Install", "Try it"] and sections.index("Develop") > 5
    first = README.partition("## Try it")[0]
    wanted = (
        "ansible-galaxy collection install kubevirt.cdi",
        "pip install kubernetes",
        "OpenShift Virtualization",
        "ansible-core",
        "Python",
    )
    assert [text for text in wanted if text not in first] == []
    assert len(first.splitlines()) <= 40


def test_example_of_the_readme_needs_only_a_cluster_with_cdi() -> None:
    (play,) = yaml_blocks(README)[0]
    assert play["hosts"] == "localhost" and "vars" not in play
    modules = [task["kubevirt.cdi.data_volume"] for task in play["tasks"] if "kubevirt.cdi.data_volume" in task]
    spec = importlib.import_module("ansible_collections.kubevirt.cdi.plugins.modules.data_volume").SPEC.options
    for options in modules:
        assert set(options) <= set(spec) and options["namespace"] == "default"
        assert "storage_class_name" not in options["storage"] and set(options["source"]) <= {"blank", "pvc"}
    assert len(modules) == 2 and "kubevirt.cdi.clone_method" in README.partition("Delete both")[0]


def test_inventory_of_the_readme_has_only_role_variables() -> None:
    (inventory,) = (block for block in yaml_blocks(README) if "all" in block)
    assert set(inventory["all"]["vars"]) <= {name for role in ROLES for name in options(role)}


def options(role: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())[
        "argument_specs"
    ]["main"]["options"]
    return found


@pytest.mark.parametrize("role", ROLES)
def test_readme_of_a_role_is_generated_from_its_argument_specs(role: str) -> None:
    readme = ROOT / "roles" / role / "README.md"
    assert readme.read_text() == role_readmes.with_table(readme), "run: python -m tests.runner.role_readmes"
    assert all(f"| `{name}` |" in readme.read_text() for name in options(role))


@pytest.mark.parametrize("role", ROLES)
def test_example_of_a_role_is_valid(role: str) -> None:
    ((play,),) = yaml_blocks((ROOT / "roles" / role / "README.md").read_text())
    (used,) = play["roles"]
    assert used["role"] == f"kubevirt.cdi.{role}"
    assert used["vars"]
    assert_declared(used["vars"], options(role))


def assert_declared(given: dict[str, Any], declared: dict[str, Any]) -> None:
    for name, value in given.items():
        assert name in declared
        below = declared[name].get("options")
        for item in value if isinstance(value, list) else [value]:
            if below and isinstance(item, dict):
                assert_declared(item, below)


@pytest.mark.parametrize("role", ROLES)
def test_role_has_metadata_for_galaxy(role: str) -> None:
    galaxy = yaml.safe_load((ROOT / "roles" / role / "meta" / "main.yml").read_text())["galaxy_info"]
    assert galaxy["description"] and galaxy["license"] == "GPL-3.0-or-later"
    assert f">={galaxy['min_ansible_version']}.0" == runtime()["requires_ansible"]


def runtime() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    return found


def test_versions_agree() -> None:
    core = runtime()["requires_ansible"].removeprefix(">=").removesuffix(".0")
    requirements = (ROOT / "meta" / "ee-requirements.txt").read_text().splitlines()
    assert [requirement.partition(">=")[0] for requirement in requirements] == [
        "kubernetes",
        "backports.zstd",
        "python-dxf",
    ]
    client = requirements[0].partition(">=")[2].partition(".")[0]
    environment = yaml.safe_load((ROOT / "meta" / "execution-environment.yml").read_text())
    assert environment == {"version": 1, "dependencies": {"python": "meta/ee-requirements.txt"}}
    sample = yaml.safe_load((ROOT / "docs" / "execution-environment.yml").read_text())["dependencies"]
    assert sample["ansible_core"]["package_pip"] == f"ansible-core>={core}"
    for document in (README, (ROOT / "docs" / "getting-started.md").read_text()):
        assert re.search(rf"ansible-core\W+{re.escape(core)} or newer", document)
        assert re.search(
            rf"kubernetes`? ?(>=)?{client}\b|kubernetes>={client}\b|`kubernetes` {client} or newer", document
        )
    for fragment in ("_auth", "_auth_plugin"):
        text = (ROOT / "plugins" / "doc_fragments" / f"{fragment}.py").read_text()
        assert f"kubernetes >= {client}." in text or "_auth" not in fragment
    cores = [tuple(map(int, each.ansible_core.split(".")[:2])) for each in COMBINATIONS]
    clients = [int(each.kubernetes.partition(".")[0]) for each in COMBINATIONS]
    assert min(cores) == tuple(map(int, core.split("."))) and min(clients) == int(client)
    assert f"tested up to {'.'.join(map(str, max(cores)))}" in README and f"tested up to {max(clients)}" in README
    assert f"{COMBINATIONS[0].python} or newer" in README


def test_modules_are_in_the_action_group_and_the_readme() -> None:
    modules = sorted(
        path.stem for path in (ROOT / "plugins" / "modules").glob("*.py") if "kubevirt.cdi._auth" in path.read_text()
    )
    assert modules and sorted(runtime()["action_groups"]["cdi"]) == modules
    assert [name for name in modules if f"`kubevirt.cdi.{name}`" not in README] == []
    assert [name for name in ROLES if f"`{name}`" not in README] == []


def test_contributing_names_existing_files() -> None:
    named = set(re.findall(r"`((?:[a-z_]+/)*_?[a-z_*]+\.(?:py|yml|md|txt))`", (ROOT / "CONTRIBUTING.md").read_text()))
    places = [ROOT, ROOT / "plugins", ROOT / "plugins" / "module_utils", ROOT / "roles" / "volumes"]
    assert len(named) > 10
    assert [name for name in named if not any(list(place.glob(name)) for place in places)] == []


def test_workflow_runs_existing_stages() -> None:
    from tests.runner.stages import ON_REQUEST, STAGES

    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())
    matrix = workflow["jobs"]["tests"]["strategy"]["matrix"]["stage"]
    # A job builds what its stage needs, so the build has no job.
    assert set(STAGES) - {"build"} <= set(matrix) <= set(STAGES | ON_REQUEST)
    assert workflow["jobs"]["tests"]["steps"][-1]["run"].startswith("tests/run test ")
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    assert [name for name in STAGES | ON_REQUEST if f"`{name}`" not in contributing] == []
    # Both list them in the order in which they run.
    assert [name for name in matrix if name in STAGES] == [name for name in STAGES if name != "build"]
    assert re.findall(
        r"^\| `([^`]+)` \| [^|]+ \| [^|]+ \|$",
        contributing.partition("| Stage |")[2].partition("\n\n")[0],
        re.MULTILINE,
    ) == list(STAGES)


def test_pre_commit_uses_the_versions_of_the_requirements() -> None:
    lines = (ROOT / "tests" / "requirements.txt").read_text().split()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    used = {each["repo"].rpartition("/")[2]: each["rev"] for each in repositories}
    # Not a Python package that the tests install.
    assert used.pop("pre-commit-hooks")
    assert used == {"ruff-pre-commit": f"v{pinned['ruff']}", "reuse-tool": f"v{pinned['reuse']}"}


def test_tests_that_a_stage_skips_exist() -> None:
    """pytest ignores the old name of a renamed test that is deselected, and runs the test."""
    from tests.runner.stages import NOT_ON_1_61, ON_1_61

    assert all((ROOT / "tests" / "real" / f"{name}.py").is_file() for name in ON_1_61)
    for file, _colons, name in (each.partition("::") for each in NOT_ON_1_61):
        assert f"def {name}(" in (ROOT / "tests" / "real" / file).read_text()
