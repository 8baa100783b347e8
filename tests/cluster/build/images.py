# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of CDI and of the cluster itself."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.build.cdi import MODULE, PROGRAMS
from tests.cluster.build.golang import module_dir
from tests.cluster.build.oci import PATH, Layout
from tests.cluster.build.recipe import Built, Recipe
from tests.cluster.versions import HELPER_IMAGE, PAUSE_IMAGE, VERSIONS, cdi_image

# Command lines of the released images; the operator takes no logging flags.
_ENTRYPOINTS = {
    "operator": ["/usr/bin/cdi-operator"],
    "controller": ["/usr/bin/cdi-controller", "-alsologtostderr"],
    "apiserver": ["/usr/bin/cdi-apiserver", "-alsologtostderr"],
    "uploadproxy": ["/usr/bin/cdi-uploadproxy", "-alsologtostderr"],
    "uploadserver": ["/usr/bin/cdi-uploadserver", "-alsologtostderr"],
    "cloner": ["/usr/bin/cloner_startup.sh"],
    "importer": ["/usr/bin/cdi-importer", "-alsologtostderr"],
}
_IMPORTER_TOOLS = ("cdi-containerimage-server", "cdi-image-size-detection", "cdi-source-update-poller")


def _build(target: Path, built: Built) -> None:
    """Fill `target` with images.tar."""
    layout = Layout(target / "layout")
    base = layout.add_base(built["base"] / "layer.tar")
    layout.add_image(HELPER_IMAGE, [base], PATH | {"Cmd": ["sh"]})
    pause = layout.add_layer({"pause": built["pause"] / "pause"})
    layout.add_image(PAUSE_IMAGE, [pause], {"Entrypoint": ["/pause"], "User": "65535:65535"})
    for version in VERSIONS.cdi:
        programs = built[f"cdi-v{version}"]
        startup = module_dir(f"cdi-v{version}", MODULE) / "cmd/cdi-cloner/cloner_startup.sh"
        for component, entrypoint in _ENTRYPOINTS.items():
            files = {f"usr/bin/cdi-{component}": programs / f"cdi-{component}"}
            if component == "importer":
                files |= {f"usr/bin/{tool}": programs / tool for tool in _IMPORTER_TOOLS}
            if component == "cloner":
                files["usr/bin/cloner_startup.sh"] = startup
            config = PATH | {"Entrypoint": entrypoint, "User": "1001"}
            layout.add_image(cdi_image(component, version), [base, layout.add_layer(files)], config)
    layout.write(target / "images.tar")


_INPUTS = (Path(__file__), Path(__file__).with_name("oci.py"))
IMAGES = Recipe("images", _INPUTS, _build, needs=("base", "pause", *(each.name for each in PROGRAMS)))
