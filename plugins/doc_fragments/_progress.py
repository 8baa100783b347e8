# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  action:
    description: Indicates this has a corresponding action plugin, so some parts of the options can be executed on the
      controller.
    support: full
  async:
    description: Supports being used with the C(async) keyword.
    support: full
notes:
  - On localhost, progress is shown while the task runs, unless the task runs as another user (C(become)), with C(async)
    or C(no_log), or the output is JSON (callback C(ansible.posix.json)). On a terminal, progress is one line that is
    updated in place; elsewhere, it is printed as plain lines.
options:
  progress_file:
    description:
      - Path of a file to which progress is appended as JSON lines while the task runs. Each line has C(object).
      - A step has C(step). A transfer has C(sent), C(size) (both in bytes) and C(seconds). C(size) is null if it is
        known only when all is sent. If a disk is sent in another encoding than that of its file, it also has C(disk)
        (the bytes of the disk that are done, including its zeros) and C(disk_size).
      - A wait has C(phase), C(percent) (null if CDI does not report it), C(reason) (why there is no progress, empty if
        no problem is known) and C(seconds) (for how long the reason is known to apply). When the awaited state is
        reached, C(ended) is true.
    type: path
"""
