# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unit tests of plugins. Ansible finds the plugins only if its loader is set up before they are imported."""

from ansible.plugins.loader import init_plugin_loader

init_plugin_loader()
