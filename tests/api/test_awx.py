# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The job templates for AWX: awx.awx accepts them, and their surveys match the variables of the roles."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._variables import known_variables, problems

from tests.awx_collection import awx_collections_path
from tests.runner.tree import ROOT

FOLDER = ROOT / "docs" / "awx"
TEMPLATES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "job_templates.yml").read_text())["awx_job_templates"]
QUESTIONS = {
    f"{template['name']}: {question['variable']}": question for template in TEMPLATES for question in template["survey"]
}
# From awx/main/models/mixins.py and awx/api/views of AWX: the types of questions, and the keys of each.
TYPES = {"text", "textarea", "password", "integer", "float", "multiplechoice", "multiselect"}
KEYS = {"question_name", "question_description", "variable", "type", "required", "default"}


def test_awx_collection_accepts_each_argument_of_the_playbook(tmp_path: Path) -> None:
    """Modules check their arguments before they connect: each task fails only because nothing listens."""
    book = yaml.safe_load((FOLDER / "import.yml").read_text())
    for task in book[0]["tasks"]:
        task["ignore_errors"] = True
    copy = tmp_path / "import.yml"
    copy.write_text(yaml.safe_dump(book))
    (tmp_path / "job_templates.yml").write_text((FOLDER / "job_templates.yml").read_text())
    environment = {
        **os.environ,
        "CONTROLLER_HOST": "http://127.0.0.1:9",
        "CONTROLLER_OAUTH_TOKEN": "none",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    }
    environment["ANSIBLE_COLLECTIONS_PATH"] = f"{awx_collections_path()}:{os.environ['ANSIBLE_COLLECTIONS_PATH']}"
    command = ["ansible-playbook", str(copy), "--extra-vars", json.dumps({"awx_project_url": "https://git/x"})]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    output = ended.stdout + ended.stderr
    assert ended.returncode == 0, output
    assert output.count("unknown error when trying to connect") >= 3 + len(TEMPLATES), output
    for complaint in ("Unsupported parameters", "missing required", "value of", "unable to convert", "undefined"):
        assert complaint not in output, output


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_question_is_complete_and_names_a_role_variable(question: dict[str, Any]) -> None:
    assert KEYS <= set(question) <= KEYS | {"min", "max", "choices"}
    assert question["type"] in TYPES
    option = known_variables()[question["variable"]]
    types = {"int": {"integer"}, "float": {"float"}, "bool": {"multiplechoice"}}
    expected = {"multiplechoice"} if "choices" in option else types.get(option["type"], {"text", "textarea"})
    assert question["type"] in expected
    if question["type"] == "multiplechoice":
        assert set(question["choices"]) == set(option.get("choices", ("no", "yes")))
        assert question["default"] in question["choices"]
    # An empty answer to a question of another type than text is an error.
    assert question["required"] or question["type"] in ("text", "textarea")


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template["name"])
def test_default_answers_pass_the_check_of_variables(template: dict[str, Any]) -> None:
    assert (
        problems({question["variable"]: question["default"] for question in template["survey"]}, lambda value: value)
        == []
    )


def test_templates_run_playbooks_of_the_collection() -> None:
    assert {template["playbook"] for template in TEMPLATES} <= {
        path.name for path in (ROOT / "playbooks").glob("*.yml")
    }
