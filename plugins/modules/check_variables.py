#!/usr/bin/python
# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: check_variables
short_description: Check the variables of the roles before anything is written
version_added: 1.0.0
description:
  - Fails when a variable that begins with C(cdi_) is known to no role of this collection, and names the nearest one that is. The prefix is
    reserved for the roles.
  - Fails when the value of a variable of any role is not what the role or its module takes, in O(kubevirt.cdi.volumes#role:main:cdi_data_volumes) and
    O(kubevirt.cdi.volumes#role:main:cdi_uploads) also when an item is not.
  - Each role runs it as its first task, so that a mistake in the variables of a later role ends a run before the first change.
  - Registered results may have any name, as may the artifacts C(cdi_artifact_*).
author:
  - kubevirt.cdi contributors (@kubevirt)
attributes:
  action:
    description: Indicates this has a corresponding action plugin, so some parts of the options can be executed on the controller.
    support: full
  check_mode:
    description: Can run in C(check_mode); the module only reads.
    support: full
  diff_mode:
    description: Returns what has changed, or in check mode would change, when in diff mode.
    support: N/A
    details: The module only reads.
  idempotent:
    description: When run twice in a row outside check mode with the same arguments, the second run makes no change.
    support: full
options: {}
seealso:
  - module: ansible.builtin.validate_argument_spec
"""

EXAMPLES = r"""
- name: Check the variables before any role runs
  kubevirt.cdi.check_variables:
"""

RETURN = r"""
problems:
  description: What is wrong, a sentence each.
  returned: always
  type: list
  elements: str
  sample: ["unknown variable 'cdi_data_volume'; did you mean 'cdi_data_volumes'? No role of kubevirt.cdi reads it."]
"""
