# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  action:
    description: Indicates this has a corresponding action plugin, so some parts of the options can be executed on the controller.
    support: full
  async:
    description: Supports being used with the C(async) keyword.
    support: full
notes:
  - On localhost progress is shown while the task runs, unless it runs as another user (C(become)), with C(async) or C(no_log), or the output is
    JSON (callback C(ansible.posix.json)). At a terminal it is one line that is written again and again, elsewhere plain lines.
options:
  progress_file:
    description:
      - A file to which progress is appended while the task runs, as lines of JSON, each with C(object).
      - A step has C(step). What is sent has C(sent), C(size) (both in bytes) and C(seconds). What is waited for has C(phase), C(percent) (null
        when CDI does not tell), C(reason) (why it gets no further, empty if nothing is known to be wrong) and C(seconds) (for how long
        the reason is known to have held before). When it has been reached, C(ended) is true.
    type: path
"""
