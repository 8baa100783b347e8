# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx settings for the website that `tests/run test docs` builds: guides, and the reference by antsibull-docs."""

from __future__ import annotations

project = "kubevirt.cdi"
copyright = "2026, kubevirt.cdi contributors"
title = "kubevirt.cdi: CDI by Ansible"
html_short_title = "kubevirt.cdi"

extensions = ["sphinx.ext.intersphinx", "sphinx_antsibull_ext", "myst_parser"]
# Written by tests/runner/docs.py, so that the build needs no network.
intersphinx_mapping = {"ansible": ("https://docs.ansible.com/ansible/latest/", "ansible.inv")}
nitpicky = True
default_role = "any"

myst_heading_anchors = 3
pygments_style = "ansible"
highlight_language = "none"

html_theme = "sphinx_ansible_theme"
html_theme_options = {
    "vcs_pageview_mode": "edit",
    "documentation_home_url": "https://github.com/kubevirt/kubevirt.cdi",
    "topbar_links": {
        "Source": "https://github.com/kubevirt/kubevirt.cdi",
        "CDI": "https://github.com/kubevirt/containerized-data-importer",
    },
}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_use_smartypants = False
html_use_index = False
