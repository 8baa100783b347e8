# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain data that is not disks is refused with the option and the remedy, and secrets are not shown."""

from __future__ import annotations

import json
from typing import Any

import ansible.template
import pytest
from ansible.errors import AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.kubevirt.cdi.plugins.filter.vm_disks import vm_disks
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.machine import Machine
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.options import (
    CLOUD_INIT_TEXTS,
    DISK_OPTIONS,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.reading import read
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rendering import render
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rules import checked
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.modules import run_in_process
from tests.vm_disks.spec import CLAIM, Entry, Spec, disk, template
from tests.vm_disks.valid import VALID

SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    ("disks", "options", "expected"),
    [
        ("root", {}, "disks is not a list; give a list of dictionaries"),
        ({"root": CLAIM}, {}, "disks is not a list; give a list of dictionaries"),
        ([disk(), "root"], {}, "disks[1] is not a dictionary; give a list of dictionaries"),
        ([CLAIM], {}, "disks[0]: missing required arguments: name."),
        ([disk(type="floppy")], {}, "Disk 'd' has type='floppy'; KubeVirt rejects floppy disks since 0.16"),
        ([disk(floppy={})], {}, "Disk 'd' has type='floppy'; KubeVirt rejects floppy disks since 0.16"),
        ([disk(bootOrder=1)], {}, "Disk 'd': unknown option 'bootOrder'; did you mean 'boot_order'?"),
        ([{"name": "d", "dataVolume": {"name": "x"}}], {}, "Disk 'd': unknown option 'dataVolume'; did you mean"),
        ([disk(container_path={"path": "/a"})], {}, "Disk 'd': unknown option 'container_path'"),
        ([disk(bus="ide")], {}, "Disk 'd': value of bus must be one of: virtio, scsi, sata, usb, got: ide."),
        ([disk(cache="unsafe")], {}, "Disk 'd': value of cache must be one of: none, writethrough, writeback"),
        ([disk(boot_order="first")], {}, "Disk 'd' has boot_order='first', which is not a whole number; correct it."),
        ([disk(shareable="often")], {}, "Disk 'd' has shareable='often', which is not true or false; correct it."),
        ([disk(block_size={"custom": {"logical": []}})], {}, "has block_size.custom.logical=[], which is not a whole"),
        ([disk()], {"block_multi_queue": 4}, "The machine has block_multi_queue=4, which is not true or false"),
        ([disk(persistent_volume_claim="data")], {}, "Disk 'd' has persistent_volume_claim, which is a text; give a"),
        (
            [disk(cloud_init_no_cloud={"secret_ref": "s"})],
            {},
            "has cloud_init_no_cloud.secret_ref, which is a text;",
        ),
        ([disk(persistent_volume_claim={})], {}, "Disk 'd': missing required arguments: claim_name found in"),
        ([disk(persistent_volume_claim={"claim_name": "My"})], {}, "persistent_volume_claim.claim_name is 'My', which"),
        ([disk(config_map={"name": "a b"})], {}, "Disk 'd': config_map.name is 'a b', which contains white space"),
        ([disk(empty_disk={"capacity": "9Ei"})], {}, "empty_disk.capacity is '9Ei', which is not below 8Ei"),
        ([disk()], {"cpu": 2}, "options: unknown option 'cpu'; did you mean 'cpus'?"),
        ([disk()], {"io_threads_policy": "none"}, "value of io_threads_policy must be one of: shared, auto"),
        ([disk()], {"io_threads": 4}, "The machine has io_threads, which is a number; give a dictionary with"),
    ],
)
def test_data_that_is_not_disks_is_refused(disks: Any, options: Entry, expected: str) -> None:
    with pytest.raises(CdiError) as raised:
        checked(disks, options)
    assert expected in str(raised.value)


# A value of a wrong type, and words about it: of the filter, and of the module where they differ.
STRUCTURE = ", not a text; quote it, write it as a block of text (|), or convert it with filter to_nice_yaml."
WRONG_TYPES: list[tuple[Entry, str, str]] = [
    (
        {source: {option: value}},
        f"Disk 'd' has {source}.{option}, which is {what}{STRUCTURE}",
        f"disks[0].{source}.{option} is {what}{STRUCTURE}",
    )
    for source in ("cloud_init_no_cloud", "cloud_init_config_drive")
    for option in CLOUD_INIT_TEXTS
    for value, what in [({"password": SECRET}, "a dictionary"), ([SECRET], "a list"), (True, "true or false")]
]
WRONG_TYPES += [
    ({**CLAIM, "serial": True}, f"serial, which is true or false{STRUCTURE}", "disks[0].serial is true or false"),
    ({**CLAIM, "tag": [SECRET]}, f"tag, which is a list{STRUCTURE}", f"disks[0].tag is a list{STRUCTURE}"),
    ({"empty_disk": {"capacity": {}}}, "empty_disk.capacity, which is a dictionary", "capacity is a dictionary"),
    (
        template(source={"http": {"url": "http://a/b", "extra_headers": [{"X": SECRET}]}}),
        "data_volume_template.source.http.extra_headers[0], which is a dictionary",
        "data_volume_template.source.http.extra_headers[0] is a dictionary",
    ),
    (
        template(source={"http": {"url": {"a": SECRET}}}),
        "data_volume_template.source.http.url, which is a dictionary",
        "data_volume_template.source.http.url is a dictionary",
    ),
    ({**CLAIM, "boot_order": "a"}, "boot_order='a', which is not a", "disks[0].boot_order='a' is not a whole number;"),
    ({**CLAIM, "boot_order": [1]}, "boot_order=[1], which is not a", "disks[0].boot_order=[1] is not a whole number;"),
    ({**CLAIM, "shareable": {}}, "shareable={}, which is not true", "disks[0].shareable={} is not true or false;"),
    ({**CLAIM, "bus": ["virtio"]}, "value of bus must be one of", "value of bus must be one of"),
    (
        {"cloud_init_no_cloud": [SECRET]},
        "Disk 'd' has cloud_init_no_cloud, which is a list; give a dictionary with secret_ref, ",
        "disks[0].cloud_init_no_cloud is a list; give a dictionary with secret_ref, ",
    ),
    (
        {"cloud_init_no_cloud": {"secret_ref": [SECRET]}},
        "has cloud_init_no_cloud.secret_ref, which is a list; give a dictionary with name.",
        "disks[0].cloud_init_no_cloud.secret_ref is a list; give a dictionary with name.",
    ),
    (
        {"downward_api": {"fields": {"path": "a"}}},
        "has downward_api.fields, which is a dictionary; give a list.",
        "disks[0].downward_api.fields is a dictionary; give a list.",
    ),
    ({"config_map": 3}, "config_map, which is a number; give a", "disks[0].config_map is a number; give a dictionary"),
]


@pytest.mark.parametrize(("entry", "of_filter", "of_module"), WRONG_TYPES)
def test_value_of_a_wrong_type_is_refused_by_filter_and_module(entry: Entry, of_filter: str, of_module: str) -> None:
    whole = {"name": "d", "bus": "virtio", **entry}
    with pytest.raises(CdiError) as raised:
        checked([whole], {})
    assert of_filter in str(raised.value) and SECRET not in str(raised.value)
    # It is refused before a connection is opened.
    ran = run_in_process("vm_disks", {"name": "web", "namespace": "demo", "disks": [whole]})
    assert of_module in ran.refusal and SECRET not in ran.output


def test_null_means_not_set() -> None:
    """As a module reads it: a default of a template can leave an option null."""
    nulls = dict.fromkeys(set(DISK_OPTIONS) - {"name", "type", "bus", "persistent_volume_claim"})
    claim = {"persistent_volume_claim": {"claim_name": "c", "read_only": None}}
    with_nulls = [{**nulls, "name": "d", "type": None, "bus": "virtio", **claim}]
    plain = [{"name": "d", "bus": "virtio", "persistent_volume_claim": {"claim_name": "c"}}]
    assert render(checked(with_nulls, {"io_threads_policy": None, "cpus": None})) == render(checked(plain, {}))


def test_white_space_around_values_is_removed() -> None:
    found = render(checked([disk(serial=" A\n", persistent_volume_claim={"claim_name": " c "})], {}))
    assert found == render(checked([disk(serial="A", persistent_volume_claim={"claim_name": "c"})], {}))


def test_texts_of_cloud_init_keep_their_white_space() -> None:
    text = "\n#cloud-config\n\npassword: a  \n\n"
    found = render(checked([disk(cloud_init_no_cloud={"user_data": text})], {}))
    assert found["template"]["spec"]["volumes"][0]["cloudInitNoCloud"] == {"userData": text}


@pytest.mark.parametrize(
    "entry",
    [
        {"cloud_init_no_cloud": {"user_data": {"password": SECRET}}},
        {"cloud_init_no_cloud": {"user_data": [SECRET]}},
        {"cloud_init_no_cloud": f"user_data={SECRET}"},
        {"cloud_init_no_cloud": [{"user_data": SECRET}]},
        {"cloud_init_config_drive": {"user_data": SECRET * 300}},
        {"cloud_init_config_drive": {"network_data": SECRET, "network_data_base64": SECRET}},
        {"cloud_init_no_cloud": {"user_data_base64": f"%{SECRET}"}},
        {"cloud_init_no_cloud": {"user_data": SECRET, "userdata": SECRET}},
        {"cloud_init_no_cloud": {"user_data": SECRET}, "persistent_volume_claim": {"claim_name": "c"}},
        {"cloud_init_no_cloud": {"user_data": SECRET, "secret_ref": {"name": "Not a name"}}},
        {"container_disk": {"image": f"docker://user:{SECRET}@registry/a:1"}},
        {
            "data_volume_template": {
                "name": "t",
                "source": {"http": {"url": f"ftp://user:{SECRET}@a/b?{SECRET}", "extra_headers": [f"X: {SECRET}"]}},
                "storage": {"size": "1Gi"},
            }
        },
        {
            "data_volume_template": {
                "name": "t",
                "source": {"http": {"url": "http://a/b", "extra_headers": {"X": SECRET}}},
                "storage": {"size": "1Gi"},
            }
        },
    ],
)
def test_no_error_shows_a_secret(entry: Entry) -> None:
    with pytest.raises(AnsibleFilterError) as raised:
        vm_disks([{"name": "d", "bus": "virtio", **entry}], cpus="-1")
    error: BaseException | None = raised.value
    while error is not None:
        assert SECRET not in str(error) and SECRET not in repr(error)
        error = error.__cause__ or error.__context__


def evaluated(expression: str, **variables: Any) -> Any:
    """The value of an expression in a play. Only since ansible-core 2.19 texts must be trusted as templates."""
    trusted = getattr(ansible.template, "trust_as_template", str)("{{ " + expression + " }}")
    found = Templar(loader=DataLoader(), variables=variables).template(trusted)
    return found if isinstance(found, str) else json.loads(json.dumps(found))


def test_filter_renders_in_a_template_with_options() -> None:
    found = evaluated("disks | kubevirt.cdi.vm_disks(io_threads_policy='auto', cpus=2)", disks=[disk()])
    assert found == render(checked([disk()], {"io_threads_policy": "auto", "cpus": "2"}))


def test_filter_combines_with_the_rest_of_a_machine() -> None:
    machine = {"domain": {"memory": {"guest": "1Gi"}, "devices": {"rng": {}}}, "networks": []}
    found = evaluated(
        "machine | combine((disks | kubevirt.cdi.vm_disks).template.spec, recursive=true)",
        disks=[disk()],
        machine=machine,
    )
    rendered = render(checked([disk()], {}))["template"]["spec"]
    assert found == {
        "domain": {"memory": {"guest": "1Gi"}, "devices": {"rng": {}, **rendered["domain"]["devices"]}},
        "networks": [],
        "volumes": rendered["volumes"],
    }


def test_filter_does_not_evaluate_templates_in_its_result() -> None:
    """cloud-init has templates with the same braces."""
    text = "## template: jinja\n#cloud-config\nhostname: {{ v1.local_hostname }}\n"
    disks = [disk(cloud_init_no_cloud={"user_data": text})]
    found = vm_disks(disks)
    volume = evaluated("(found.template.spec.volumes | first).cloudInitNoCloud.userData", found=found)
    assert volume == text


def test_filter_reports_all_problems_with_its_name() -> None:
    with pytest.raises(AnsibleFilterError) as raised:
        vm_disks([disk(boot_order=0), disk(name="e", serial="a b")])
    message = str(raised.value)
    assert message.startswith("vm_disks: Disk 'd' has boot_order=0; ") and "Disk 'e' has serial='a b'; " in message


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.sampled_from(["d", "1Gi", "/"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=6), below, max_size=3),
    max_leaves=6,
)


def _of(options: Entry) -> st.SearchStrategy[Any]:
    """Values for an argument spec: mostly of its shape, some of any."""
    shaped = {
        option: st.one_of(_value(spec), _VALUES) if spec["type"] in ("dict", "list") else _value(spec)
        for option, spec in options.items()
    }
    return st.fixed_dictionaries({}, optional=shaped)


def _value(spec: Entry) -> st.SearchStrategy[Any]:
    if "choices" in spec:
        return st.sampled_from([*spec["choices"], "other"])
    below = _of(spec["options"]) if "options" in spec else _VALUES
    return {
        "dict": below,
        "list": st.lists(below, max_size=2),
        "bool": st.booleans(),
        "int": st.integers(-2, 5000),
        "str": st.text(max_size=20) | st.sampled_from(["data", "1Gi", "/disk/a.img", "9Ei", "1e999"]),
    }[spec["type"]]


@given(entries=st.lists(_of(DISK_OPTIONS) | _VALUES, max_size=3), options=st.fixed_dictionaries({"cpus": _VALUES}))
@examples(200)
def test_any_data_is_rendered_or_refused_with_the_one_error(entries: list[Any], options: Entry) -> None:
    try:
        machine = checked(json.loads(json.dumps(entries)), json.loads(json.dumps(options)))
    except CdiError as exc:
        assert str(exc) and "\n" not in str(exc)
        return
    assert_names_agree(machine)


_ENTRIES = st.sampled_from([entry for spec in VALID for entry in spec.disks])


@given(
    entries=st.lists(_ENTRIES, max_size=6),
    names=st.lists(st.text("abz09-", min_size=1, max_size=8), min_size=6, unique=True),
)
@examples(150)
def test_names_of_disks_and_volumes_never_differ(entries: list[Entry], names: list[str]) -> None:
    named = [{**entry, "name": name} for entry, name in zip(entries, names, strict=False)]
    reading = read(named, {})
    assert reading.problems == ()
    assert_names_agree(reading.machine)


def assert_names_agree(machine: Machine) -> None:
    rendered = render(machine)
    assert rendered == render(machine)
    spec = rendered["template"]["spec"]
    names = [disk["name"] for disk in spec["domain"]["devices"]["disks"]]
    volumes = [volume["name"] for volume in spec["volumes"]]
    assert [name for name in names if name in volumes] == [
        volume["name"] for volume in spec["volumes"] if "memoryDump" not in volume
    ]
    assert {disk["name"] for disk in spec["domain"]["devices"]["disks"] if "cdrom" not in disk} <= set(volumes)
    referred = {volume["dataVolume"]["name"] for volume in spec["volumes"] if "dataVolume" in volume}
    assert {template["metadata"]["name"] for template in rendered["dataVolumeTemplates"]} <= referred


@pytest.mark.parametrize("spec", VALID, ids=str)
def test_each_valid_spec_has_names_that_agree(spec: Spec) -> None:
    assert_names_agree(checked(spec.disks, spec.options))
