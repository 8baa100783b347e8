# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rule is: its check, where KubeVirt itself would report the problem, and the source of the fact."""

from __future__ import annotations

import typing as t

# The release of KubeVirt whose source the rules cite.
RELEASE = "v1.8.2"

# Where KubeVirt reports what a rule refuses, from early to never.
CLIENT = "client"  # Nowhere: the request has no form in the API.
API = "api"  # The API server or the webhook refuses the VirtualMachine.
INSTANCE = "instance"  # The VirtualMachine is accepted; the webhook refuses its instance when the machine starts.
START = "start"  # The instance is accepted; its pod is not created, or the machine does not start in it.
IGNORED = "ignored"  # The machine runs, and what was requested has no effect.

Sentences = t.Iterator[str]


def listed(texts: t.Sequence[str], last: str) -> str:
    """Several texts as a part of a sentence, with `last` ("and" or "or") before the last one."""
    return f"{', '.join(texts[:-1])} {last} {texts[-1]}" if len(texts) > 1 else texts[0]


class Rule(t.NamedTuple):
    """A rule of one disk, whose `check` takes the Disk and the Machine, or of all disks: it takes the Machine.

    `check` yields a sentence for each problem; that of one disk follows the disk's name.

    `source` is the file in kubevirt.io/kubevirt, RELEASE, with the function, and for other projects their name.
    """

    check: t.Callable[..., Sentences]
    stage: str
    source: str

    @property
    def name(self) -> str:
        return self.check.__name__


class Problem(t.NamedTuple):
    """A sentence for the user, and the rule that it comes from."""

    rule: Rule
    sentence: str
