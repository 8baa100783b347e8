# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CDI as its maintainers release it: programs, release manifests and the CRDs that its operator creates."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.build.commands import output
from tests.cluster.build.golang import module_dir, programs
from tests.cluster.build.recipe import Built, Recipe
from tests.cluster.versions import VERSIONS, cdi_image

MODULE = "kubevirt.io/containerized-data-importer"
NAMESPACE = "cdi"
_COMPONENTS = ("operator", "controller", "importer", "cloner", "apiserver", "uploadproxy", "uploadserver")


def _generator_arguments(version: str) -> list[str]:
    """The arguments of both passes of CDI's manifest generator, as in CDI's build script."""
    images = [f"-{component}-image={cdi_image(component, version)}" for component in _COMPONENTS]
    return [
        *images,
        f"-ovirt-populator-image={cdi_image('importer', version)}",
        f"-operator-version=v{version}",
        f"-docker-tag=v{version}",
        f"-namespace={NAMESPACE}",
        "-cr-name=cdi",
        "-deploy-cluster-resources=true",
        "-pull-policy=IfNotPresent",
        "-verbosity=1",
    ]


def _build_manifests(target: Path, built: Built) -> None:
    for version in VERSIONS.cdi:
        generator = str(built[f"cdi-generator-v{version}"] / "manifest-generator")
        directory = target / f"v{version}"
        parts = directory / "parts"
        parts.mkdir(parents=True)

        def generate(*arguments: str, version: str = version, generator: str = generator) -> str:
            return output([generator, *_generator_arguments(version), *arguments], cwd=target)

        operator = generate("-resource-type=operator", "-resource-group=everything")
        (parts / "operator-everything.yaml.in").write_text(operator)
        templates = module_dir(f"cdi-v{version}", MODULE) / "manifests/templates/release"
        for name in ("cdi-operator.yaml", "cdi-cr.yaml"):
            text = generate(f"-template={templates / name}.in", f"-generated-manifests-path={parts}")
            (directory / name).write_text(text)
        definitions = [
            generate("-resource-type=operator", "-resource-group=operator-crd"),
            generate("-resource-type=cluster", "-resource-group=crd-resources"),
        ]
        (directory / "crds.yaml").write_text("".join(definitions))
        (parts / "operator-everything.yaml.in").unlink()
        parts.rmdir()


GENERATORS = [
    programs(f"cdi-generator-v{version}", f"cdi-v{version}", f"{MODULE}/tools/manifest-generator")
    for version in VERSIONS.cdi
]
PROGRAMS = [programs(f"cdi-v{version}", f"cdi-v{version}", "tool") for version in VERSIONS.cdi]
MANIFESTS = Recipe(
    "cdi-manifests", (Path(__file__),), _build_manifests, needs=tuple(recipe.name for recipe in GENERATORS)
)
