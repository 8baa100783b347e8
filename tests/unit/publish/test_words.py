# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that no technical writer would use stay out of code, messages, documentation and tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
# A replacement for each: reported, predicted, also, the other direction, fix, another client, in the meantime.
WORDS = (
    *("told", "foretold", "foretell", "foresee", "foreseen", "be it", "the way back", "mend", "mended"),
    *("somebody else", "nobody's", "meanwhile", "at last", "is another one", "is content", "whoever", "anew"),
)
FOUND = re.compile(rf"\b({'|'.join(WORDS)})\b", re.IGNORECASE)
SUFFIXES = (".md", ".py", ".rst", ".yml", ".j2")


def test_words_that_no_technical_writer_uses_are_absent() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name.endswith(SUFFIXES)]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        if path.is_file() and path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if FOUND.search(line)
    ]
    assert len(files) > 300
    assert found == []
