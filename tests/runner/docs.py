# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the documentation site: the guides in `docs/` and the reference of all plugins and roles."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

from tests.runner.tree import ROOT, checkout_dir, environment

SITE = checkout_dir() / "docs"
REPOSITORY = "https://github.com/kubevirt/kubevirt.cdi/blob/main"
_GUIDES = ROOT / "docs"
_SPHINX = _GUIDES / "docsite" / "sphinx"
# [text](target) without a scheme, and the references of antsibull-docs to plugins of other collections.
RELATIVE_LINK = re.compile(r"(?<!!)(\[[^][]*\]\()(?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")
_OTHER_PLUGIN = re.compile(
    r"ansible_collections\.(?!kubevirt\.cdi\.)(\w+)\.(\w+)\.(\w+_(?:module|lookup|filter|role))\b"
)

# Pages of the Ansible documentation that antsibull-docs refers to in every collection.
_ANSIBLE_PAGES = {
    "action_plugins": "plugins/action.html#action-plugins",
    "ansible_configuration_settings": "reference_appendices/config.html#ansible-configuration-settings",
    "common_return_values": "reference_appendices/common_return_values.html#common-return-values",
}


def run(log: int | None = None) -> int:
    """Build the site and return the exit code, 0 without warnings. `log` is a file descriptor for the output."""
    shutil.rmtree(SITE, ignore_errors=True)
    source = SITE / "source"
    source.mkdir(parents=True, mode=0o755)  # antsibull-docs refuses a directory that other users can write to
    reference = [
        *("antsibull-docs", "--config-file", str(_SPHINX / "antsibull-docs.cfg"), "collection", "--use-current"),
        *("--fail-on-error", "--squash-hierarchy", "--dest-dir", str(source), "kubevirt.cdi"),
    ]
    code = subprocess.run(reference, check=False, stdout=log, stderr=log, env=environment({})).returncode
    if code:
        return code
    _add_guides(source)
    shutil.copy(_SPHINX / "conf.py", source)
    shutil.copytree(_SPHINX / "static", source / "static")
    (source / "ansible.inv").write_bytes(_inventory(source))
    html = SITE / "html"
    build = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "-j", "auto"]
    build += ["-d", str(SITE / "doctrees"), str(source), str(html)]
    code = subprocess.run(build, check=False, stdout=log, stderr=log).returncode
    if not code and log is None:
        print(f"The documentation is in {html / 'index.html'}")
    return code


def _add_guides(source: Path) -> None:
    """Add all Markdown files in docs/, in the order of docs/README.md."""
    shutil.copytree(_GUIDES / "images", source / "guides" / "images")
    index = (_GUIDES / "README.md").read_text()
    names = [path.name for path in _GUIDES.glob("*.md") if path.name != "README.md"]
    names.sort(key=lambda name: (index.find(f"({name})") % sys.maxsize, name))
    for name in names:
        (source / "guides" / name).write_text(with_absolute_links((_GUIDES / name).read_text()))
    entries = "".join(f"   /guides/{name.removesuffix('.md')}\n" for name in names)
    with (source / "docsite" / "guides.rst").open("a") as guides:
        guides.write(f"\n.. toctree::\n   :maxdepth: 1\n\n{entries}")


def with_absolute_links(guide: str) -> str:
    """Replace links to files that are not guides by links to the repository: the site lacks these files."""

    def absolute(link: re.Match[str]) -> str:
        opening, target, anchor = link[1], link[2], link[3] or ""
        if "/" not in target and target.endswith(".md"):
            return link[0]
        path = os.path.normpath(f"docs/{target}")
        return f"{opening}{REPOSITORY}/{path}{anchor})"

    return RELATIVE_LINK.sub(absolute, guide)


def _inventory(source: Path) -> bytes:
    """The inventory that intersphinx would fetch from docs.ansible.com, for the plugins in the reference."""
    found = {match.groups() for path in source.glob("*.rst") for match in _OTHER_PLUGIN.finditer(path.read_text())}
    lines = "".join(f"{label} std:label -1 {page} {label}\n" for label, page in _ANSIBLE_PAGES.items())
    for namespace, collection, plugin in sorted(found):
        label = f"ansible_collections.{namespace}.{collection}.{plugin}"
        page = f"collections/{namespace}/{collection}/{plugin}.html#{re.sub('[._]', '-', label)}"
        lines += f"{label} std:label -1 {page} {namespace}.{collection}.{plugin.rpartition('_')[0]}\n"
    head = ["# Sphinx inventory version 2", "# Project: ansible", "# Version: "]
    head.append("# The remainder of this file is compressed using zlib.\n")
    return "\n".join(head).encode() + zlib.compress(lines.encode())
