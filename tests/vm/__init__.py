# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests on the real KubeVirt. Ansible's loader starts before the first import from a collection."""

from ansible.plugins.loader import init_plugin_loader

init_plugin_loader()
