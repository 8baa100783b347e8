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
  - Fails if a variable that begins with C(cdi_) belongs to no role of this collection, and suggests the closest name.
    The prefix is reserved for the roles.
  - Fails if the value of a variable of any role is not valid for the role or its module. This includes the items of
    O(kubevirt.cdi.volumes#role:main:cdi_data_volumes), O(kubevirt.cdi.volumes#role:main:cdi_uploads),
    O(kubevirt.cdi.volumes#role:main:cdi_virtual_machine_disks) and
    O(kubevirt.cdi.thicken#role:main:cdi_thin_volumes).
  - Each role runs this module as its first task, so that a mistake in the variables of a later role ends the run before
    the first change.
  - Registered results and the artifacts C(cdi_artifact_*) are exempt.
author:
  - kubevirt.cdi contributors (@kubevirt)
attributes:
  action:
    description: Indicates this has a corresponding action plugin, so some parts of the options can be executed on the
      controller.
    support: full
  check_mode:
    description: Can run in C(check_mode). The module only reads.
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
  description: Problems that were found, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["unknown variable 'cdi_data_volume'; did you mean 'cdi_data_volumes'? No role of kubevirt.cdi reads it."]
"""
