# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One play on three clusters at a time: each gets its own volumes, and no result overwrites that of another."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import DATA_VOLUME, NAMESPACE

from tests.cluster.runtime.profile import first_number
from tests.light_cluster import light_cluster
from tests.playing import Played, play

NAMES = ["east", "north", "west"]
HERE = f"fleet-{os.getpid()}"


class Fleet(NamedTuple):
    """Kubeconfigs and servers of the clusters, by host name; and their inventory."""

    kubeconfigs: dict[str, str]
    servers: dict[str, str]
    inventory: Path

    def connection(self, name: str) -> Connection:
        return connect({"kubeconfig": self.kubeconfigs[name]})


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The cluster of the other tests, and two more."""
    folder = tmp_path_factory.mktemp("fleet")
    with (
        light_cluster(first_number() + 2, folder / "north") as north,
        light_cluster(first_number() + 4, folder / "west") as west,
    ):
        found = [os.environ, north, west]
        kubeconfigs = {name: variables["KUBECONFIG"] for name, variables in zip(NAMES, found, strict=True)}
        servers = {name: variables["KUBEVIRT_CDI_TEST_SERVER"] for name, variables in zip(NAMES, found, strict=True)}
        inventory = folder / "inventory.yml"
        # A kubeconfig as a template, as a path, and as a dictionary.
        hosts = {
            "east": {
                "cdi_kubeconfig": "{{ directory }}/kubeconfig",
                "directory": str(Path(kubeconfigs["east"]).parent),
            },
            "north": {"cdi_kubeconfig": kubeconfigs["north"]},
            "west": {
                "cdi_kubeconfig": "{{ lookup('ansible.builtin.file', path) | from_yaml }}",
                "path": kubeconfigs["west"],
            },
        }
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory.write_text(yaml.safe_dump({"all": {"children": {"clusters": {"hosts": hosts, "vars": local}}}}))
        fleet = Fleet(kubeconfigs, servers, inventory)
        for name in NAMES:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HERE}}
            fleet.connection(name).create(NAMESPACE, body, dry_run=False)
        yield fleet
        fleet.connection("east").delete(NAMESPACE, HERE, dry_run=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def played(fleet: Fleet, folder: Path) -> Played:
    """Each cluster gets a volume of its own and a clone; one also gets a volume in a missing namespace."""
    volumes = (
        "[{'name': 'of-' ~ inventory_hostname, 'source': {'blank': {}}, 'storage': {'size': '1Gi'}},"
        " {'name': 'clone', 'source': {'pvc': {'name': 'of-' ~ inventory_hostname}}, 'storage': {'size': '1Gi'}}]"
        " + ([{'name': 'bad', 'namespace': 'not-there', 'source': {'blank': {}}, 'storage': {'size': '1Gi'}}]"
        " if inventory_hostname == 'north' else [])"
    )
    variables = {
        "cdi_hosts": "clusters",
        "cdi_namespace": HERE,
        "cdi_volumes_wait": False,
        "cdi_data_volumes": "{{ " + volumes + " }}",
        "cdi_report_json": str(folder / "{{ inventory_hostname }}.json"),
        "cdi_report_html": str(folder / "all.html"),
        "cdi_report_junit": str(folder / "all.xml"),
    }
    return play("--inventory", fleet.inventory, "--forks=3", "kubevirt.cdi.volumes", variables=variables)


def test_each_cluster_gets_its_own_volumes(fleet: Fleet, played: Played) -> None:
    assert played.code == 2 and played.errors == 1, played.output
    for name in NAMES:
        volumes = fleet.connection(name).list(DATA_VOLUME, HERE)[0]
        assert {volume["metadata"]["name"] for volume in volumes} == {f"of-{name}", "clone"}


def test_one_report_is_printed_with_the_failed_cluster_first(fleet: Fleet, played: Played) -> None:
    assert played.output.count("TASK [kubevirt.cdi.report : Print the report]") == 1
    printed = played.output.partition("Print the report]")[2].partition("TASK [")[0]
    heads = re.findall(r"^Cluster (\w+) \((\S+)\): ", printed, re.MULTILINE)
    assert heads == [(name, fleet.servers[name]) for name in ("north", "east", "west")]
    assert printed.count("FAILED:") == 1 and "3 clusters, " in printed and "IN TROUBLE: north" in printed
    assert [len(re.findall(f"^{HERE}/of-{name} ", printed, re.MULTILINE)) for name in NAMES] == [1, 1, 1]


def test_lookup_reads_the_cluster_of_the_modules(fleet: Fleet, played: Played, folder: Path) -> None:
    for name in NAMES:
        report = json.loads((folder / f"{name}.json").read_text())
        assert report["cluster"] == {"name": name, "host": fleet.servers[name]}
        assert not [text for text in report["not_readable"] if "lookup" in text]
        # Only the lookup returns the reason, and only for a clone of its own cluster.
        clone = next(volume for volume in report["volumes"] if volume["name"] == "clone")
        assert clone["source"] == f"pvc {HERE}/of-{name}"
    assert "[WARNING]" not in played.output or "clone_method" not in played.output


def test_report_files_of_one_path_hold_each_cluster(played: Played, folder: Path) -> None:
    page, xml = (folder / "all.html").read_text(), (folder / "all.xml").read_text()
    for name in NAMES:
        assert f">{name}</a>" in page and f'<testsuite name="{name}"' in xml


def test_artifacts_are_grouped_by_cluster(played: Played) -> None:
    assert set(played.artifacts) == {"cdi_artifact_clusters"}
    clusters = played.artifacts["cdi_artifact_clusters"]
    assert sorted(clusters) == NAMES
    for name in NAMES:
        expected = {f"{HERE}/of-{name}", f"{HERE}/clone"} | ({"not-there/bad"} if name == "north" else set())
        assert set(clusters[name]["phases"]) == expected
        assert clusters[name]["summary"]["failed_steps"] == (["volumes"] if name == "north" else [])


def _report_of(fleet: Fleet, tmp_path: Path, **keywords: Any) -> tuple[Played, dict[str, Any]]:
    """The report of a play on localhost with these keywords. The environment names the first cluster for the lookup."""
    book = [{"hosts": "localhost", "gather_facts": False, "roles": ["kubevirt.cdi.report"], **keywords}]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(book))
    variables = {"cdi_report_namespaces": [HERE], "cdi_report_json": str(tmp_path / "r.json")}
    played = play(
        tmp_path / "play.yml", variables=variables, environment={"K8S_AUTH_KUBECONFIG": fleet.kubeconfigs["east"]}
    )
    assert played.code == 0, played.output
    return played, json.loads((tmp_path / "r.json").read_text())


@pytest.mark.usefixtures("played")
@pytest.mark.parametrize("means", ["module_defaults", "environment"])
def test_lookup_on_another_cluster_than_the_modules_is_reported(fleet: Fleet, tmp_path: Path, means: str) -> None:
    choices: dict[str, dict[str, Any]] = {
        "module_defaults": {"module_defaults": {"group/kubevirt.cdi.cdi": {"kubeconfig": fleet.kubeconfigs["west"]}}},
        "environment": {"environment": {"K8S_AUTH_KUBECONFIG": fleet.kubeconfigs["west"]}},
    }
    played, report = _report_of(fleet, tmp_path, **choices[means])
    assert report["cluster"]["host"] == fleet.servers["west"]
    message = f"The lookup clone_method used {fleet.servers['east']}, but the modules used {fleet.servers['west']}"
    assert (
        report["not_readable"][0].startswith(message) and "NOT READABLE: The lookup clone_method used" in played.output
    )


@pytest.mark.usefixtures("played")
@pytest.mark.parametrize("variable", ["cdi_kubeconfig", "kubevirt_cdi_kubeconfig"])
def test_variable_of_the_lookup_may_be_a_template(fleet: Fleet, tmp_path: Path, variable: str) -> None:
    path = Path(fleet.kubeconfigs["west"])
    task = {"ansible.builtin.debug": {"msg": "used {{ lookup('kubevirt.cdi.clone_method', volume).host }}"}}
    variables = {
        variable: "{{ folder }}/{{ 'kube' ~ 'config' }}",
        "folder": str(path.parent),
        "volume": f"{HERE}/of-west",
    }
    (tmp_path / "play.yml").write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": [task]}])
    )
    played = play(tmp_path / "play.yml", environment={"K8S_AUTH_KUBECONFIG": fleet.kubeconfigs["east"]})
    assert played.code == 0 and f"used {fleet.servers['west']}" in played.output, played.output


def test_lookup_reads_a_vaulted_token_and_a_template_in_host(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("test")
    vaulted = subprocess.run(
        [
            "ansible-vault",
            "encrypt_string",
            "--vault-password-file",
            str(tmp_path / "password"),
            "test-admin-token",
            "--name",
            "cdi_api_key",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    ca = Path(fleet.kubeconfigs["west"]).parent / "pki" / "ca.crt"
    (tmp_path / "vars.yml").write_text(
        f'{vaulted}\ncdi_host: "{{{{ server }}}}"\nserver: {fleet.servers["west"]}\ncdi_ca_cert: {ca}\n'
    )
    task = {"ansible.builtin.debug": {"msg": "used {{ lookup('kubevirt.cdi.clone_method', 'default/none').host }}"}}
    book = [{"hosts": "localhost", "gather_facts": False, "vars_files": ["vars.yml"], "tasks": [task]}]
    (tmp_path / "play.yml").write_text(json.dumps(book))
    played = play("--vault-password-file", tmp_path / "password", tmp_path / "play.yml")
    assert played.code == 0 and f"used {fleet.servers['west']}" in played.output, played.output
    assert "test-admin-token" not in played.output
