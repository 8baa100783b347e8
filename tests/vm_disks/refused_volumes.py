# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that the rules of the volume of a disk refuse."""

from __future__ import annotations

from tests.vm_disks.spec import (
    ALL_GATES,
    BLANK,
    CDROM,
    CLAIM,
    EMPTY,
    IMAGE,
    LUN,
    Spec,
    cloud_init,
    disk,
    encoded,
    template,
)

VOLUMES: list[Spec] = [
    Spec("two-volumes", [disk(**CLAIM, **EMPTY)], "volume_has_one_source", "persistent_volume_claim and empty_disk"),
    Spec("no-volume", [{"name": "d", "bus": "virtio"}], "volume_has_one_source", "only a cdrom can be empty"),
    Spec("lun-of-a-container-disk", [disk(**LUN, **IMAGE)], "lun_needs_a_persistent_volume", "set type=disk"),
    Spec("lun-of-an-empty-disk", [disk(**LUN, **EMPTY)], "lun_needs_a_persistent_volume", "set type=disk"),
    Spec(
        "metrics-on-sata",
        [disk(bus="sata", downward_metrics={})],
        "metrics_need_a_virtio_disk",
        "set bus=virtio",
        ALL_GATES,
    ),
    Spec(
        "metrics-as-cdrom",
        [{**CDROM, "bus": "sata", "downward_metrics": {}}],
        "metrics_need_a_virtio_disk",
        "set type=disk",
        ALL_GATES,
    ),
    Spec(
        "path-relative",
        [disk(container_disk={"image": "a", "path": "disk/a.img"})],
        "path_in_image_is_absolute",
        "absolute path",
    ),
    Spec(
        "path-with-dots",
        [disk(container_disk={"image": "a", "path": "/disk/../a.img"})],
        "path_in_image_is_absolute",
        "absolute path",
    ),
    Spec(
        "path-of-the-root",
        [disk(container_disk={"image": "a", "path": "/"})],
        "path_in_image_is_absolute",
        "the path of a file",
    ),
    Spec("image-empty", [disk(container_disk={"image": ""})], "image_has_a_name", "empty container_disk.image"),
    Spec(
        "image-with-a-scheme",
        [disk(container_disk={"image": "docker://a/b:1"})],
        "image_has_a_name",
        "without a scheme",
    ),
    Spec(
        "host-disk-without-a-path",
        [disk(host_disk={"path": "", "type": "Disk"})],
        "host_disk_has_a_path",
        "empty host_disk.path",
        ALL_GATES,
    ),
    Spec(
        "host-disk-with-a-relative-path",
        [disk(host_disk={"path": "../d.img", "type": "Disk"})],
        "host_disk_path_is_absolute",
        "absolute path",
        ALL_GATES,
    ),
    Spec(
        "host-disk-with-a-capacity",
        [disk(host_disk={"path": "/d.img", "type": "Disk", "capacity": "1Gi"})],
        "existing_host_disk_has_no_capacity",
        "leave capacity out",
        ALL_GATES,
    ),
    Spec(
        "host-disk-without-a-capacity",
        [disk(host_disk={"path": "/d.img", "type": "DiskOrCreate"})],
        "created_disk_has_a_capacity",
        "no host_disk.capacity",
        ALL_GATES,
    ),
    Spec(
        "empty-disk-too-small",
        [disk(empty_disk={"capacity": "1023Ki"})],
        "created_disk_has_a_capacity",
        "at least 1Mi",
    ),
    Spec(
        "empty-disk-no-quantity",
        [disk(empty_disk={"capacity": "1 GB"})],
        "capacity_is_a_quantity",
        "empty_disk.capacity='1 GB'",
    ),
    Spec("cloud-init-empty", [cloud_init()], "cloud_init_has_data", "an empty cloud_init_no_cloud"),
    Spec(
        "cloud-init-twice",
        [cloud_init(user_data="a", secret_ref={"name": "s"})],
        "cloud_init_has_each_text_once",
        "user_data and cloud_init_no_cloud.secret_ref",
    ),
    Spec(
        "network-data-twice",
        [cloud_init(network_data="a", network_data_base64="YQ==")],
        "cloud_init_has_each_text_once",
        "network_data_base64",
    ),
    Spec("user-data-of-2049-bytes", [cloud_init(user_data="x" * 2049)], "cloud_init_text_fits", "2049 bytes"),
    Spec("user-data-of-1025-umlauts", [cloud_init(user_data="\u00e4" * 1025)], "cloud_init_text_fits", "2050 bytes"),
    Spec(
        "user-data-encoded-too-long",
        [cloud_init(user_data_base64=encoded(2049))],
        "cloud_init_text_fits",
        "give secret_ref",
    ),
    Spec(
        "network-data-too-long",
        [cloud_init(user_data="a", network_data="x" * 2049)],
        "cloud_init_text_fits",
        "give network_data_secret_ref",
    ),
    Spec("user-data-no-base64", [cloud_init(user_data_base64="%%%")], "cloud_init_text_fits", "not valid base64"),
    Spec("sysprep-empty", [{**CDROM, "bus": "sata", "sysprep": {}}], "sysprep_has_one_reference", "an empty sysprep"),
    Spec(
        "sysprep-twice",
        [{**CDROM, "bus": "sata", "sysprep": {"secret": {"name": "s"}, "config_map": {"name": "c"}}}],
        "sysprep_reference_has_an_effect",
        "uses the Secret",
    ),
    Spec(
        "downward-api-without-a-reference",
        [disk(downward_api={"fields": [{"path": "p"}]})],
        "downward_api_fields_have_one_reference",
        "fields[0]",
    ),
    Spec(
        "read-only-claim",
        [disk(persistent_volume_claim={"claim_name": "c", "read_only": True})],
        "read_only_claim_has_a_read_only_disk",
        "set read_only=true on the disk",
    ),
    Spec(
        "memory-dump-with-another-name",
        [{"name": "d", "memory_dump": {"claim_name": "dump"}}],
        "memory_dump_has_the_name_of_its_claim",
        "set its name to 'dump'",
    ),
    Spec("long-name-of-a-container-disk", [disk(name="n" * 58, **IMAGE)], "names_in_pod_fit", "use at most 57"),
    Spec(
        "long-name-of-a-secret-reference",
        [disk(name="n" * 58, cloud_init_no_cloud={"secret_ref": {"name": "s"}})],
        "names_in_pod_fit",
        "'-udata'",
    ),
    Spec(
        "template-without-a-target",
        [template(source={"blank": {}})],
        "template_has_one_source_and_target",
        "neither storage nor pvc",
    ),
    Spec(
        "template-with-two-targets",
        [template(**BLANK, pvc={"size": "1Gi", "access_modes": ["ReadWriteOnce"]})],
        "template_has_one_source_and_target",
        "storage and pvc",
    ),
    Spec(
        "template-without-a-source",
        [template(storage={"size": "1Gi"})],
        "template_has_one_source_and_target",
        "exactly one source",
    ),
    Spec(
        "template-with-an-empty-source",
        [
            template(
                source={}, storage={"size": "1Gi", "data_source_ref": {"kind": "PersistentVolumeClaim", "name": "a"}}
            )
        ],
        "template_has_one_source_and_target",
        "or leave source out",
    ),
    Spec(
        "template-with-two-sources",
        [template(source={"blank": {}, "upload": {}}, storage={"size": "1Gi"})],
        "template_has_one_source_and_target",
        "source.blank and source.upload",
    ),
    Spec(
        "template-without-a-size",
        [template(source={"http": {"url": "http://a/b"}}, storage={"storage_class_name": "fast"})],
        "template_is_a_valid_volume",
        "has no size",
    ),
    Spec(
        "template-with-an-ftp-url",
        [template(source={"http": {"url": "ftp://a/b"}}, storage={"size": "1Gi"})],
        "template_is_a_valid_volume",
        "starts with http",
    ),
    Spec(
        "template-with-a-checksum",
        [template(source={"http": {"url": "http://a/b", "checksum": f"md5:{'0' * 32}"}}, storage={"size": "1Gi"})],
        "template_options_have_an_effect",
        "drops from a template",
    ),
    Spec(
        "template-with-a-service-account",
        [template(**BLANK, service_account_name="a")],
        "template_options_have_an_effect",
        "service_account_name",
    ),
]
