# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes that CDI or the module refuses, as options of module data_volume, with a part of each error."""

from __future__ import annotations

from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.completion import completed
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.options import VOLUME_OPTIONS

Options = dict[str, Any]


def volume(**options: Any) -> Options:
    """One volume, by default a blank one of 1Gi in namespace demo."""
    base = {"namespace": "demo", "source": {"blank": {}}, "storage": {"size": "1Gi"}, **options}
    return {"name": options.get("name", "disk"), **completed(base, VOLUME_OPTIONS)}


_HTTP = {"url": "https://images.example.com/disk.qcow2"}
_IMAGEIO = {"url": "https://ovirt/", "disk_id": "1", "secret_ref": "s", "cert_config_map": "c"}
_VDDK = {"url": "https://vcenter/", "uuid": "u", "backing_file": "b", "thumbprint": "t", "secret_ref": "s"}
_IMAGE = {"url": "docker://registry/image:1"}
_ONE_MODE = ["ReadWriteOnce"]
_SHA = "a" * 64


def _http(**options: Any) -> Options:
    return {"source": {"http": {**_HTTP, **options}}}


def _registry(**options: Any) -> Options:
    return {"source": {"registry": options}}


BY_CDI: list[tuple[Options, str]] = [
    ({"storage": None}, "has neither storage nor pvc; give storage with a size"),
    ({"pvc": {"size": "1Gi", "access_modes": _ONE_MODE}}, "has storage and pvc; give one of them"),
    ({"storage": {"volume_mode": "Block"}}, "has no size; give storage.size, for example 10Gi"),
    ({"source": {"pvc": {"name": "a"}}, "storage": None, "pvc": {"access_modes": _ONE_MODE}}, "give pvc.size"),
    ({"source": None, "storage": {"data_source_ref": {"kind": "PersistentVolumeClaim", "name": "a"}}}, "has no size"),
    ({"storage": {"size": "0"}}, "has the size 0; request at least 1Mi"),
    ({"storage": {"size": "-1Gi"}}, "has the size -1Gi; request at least 1Mi"),
    ({"storage": {"size": "1048575"}}, "request at least 1Mi"),
    ({"storage": None, "pvc": {"size": "1Gi"}}, "has pvc.access_modes=none; give exactly one"),
    (
        {"storage": None, "pvc": {"size": "1Gi", "access_modes": ["ReadWriteOnce", "ReadWriteMany"]}},
        "has pvc.access_modes=['ReadWriteOnce', 'ReadWriteMany']; give exactly one",
    ),
    ({"source": None}, "needs exactly one source (http, "),
    ({"source": {}}, "has an empty source; give one of http, "),
    (
        {
            "source": {},
            "storage": {"size": "1Gi", "data_source_ref": {"kind": "PersistentVolumeClaim", "name": "a"}},
        },
        "or leave source out",
    ),
    ({"source": {"blank": {}, "upload": {}}}, "and has source.blank and source.upload"),
    ({"source_ref": {"name": "golden"}}, "and has source.blank and source_ref"),
    (
        {"storage": {"size": "1Gi", "data_source_ref": {"kind": "PersistentVolumeClaim", "name": "a"}}},
        "and has source.blank and storage.data_source_ref",
    ),
    (
        {
            "source": None,
            "storage": {
                "size": "1Gi",
                "data_source": {"kind": "PersistentVolumeClaim", "name": "a"},
                "data_source_ref": {"kind": "PersistentVolumeClaim", "name": "a"},
            },
        },
        "and has storage.data_source and storage.data_source_ref",
    ),
    (
        {"source": None, "storage": {"size": "1Gi", "data_source_ref": {"kind": "VolumeSnapshot", "name": "a"}}},
        "has storage.data_source_ref of kind VolumeSnapshot without an api_group; give it",
    ),
    ({"content_type": "archive"}, "has source.blank and content_type=archive"),
    (_http(url=""), "has an empty source.http.url"),
    (_http(url="ftp://images/disk"), "has source.http.url=ftp://images/disk; give a URL that starts with http://"),
    (_http(url="http://[::1"), "give a URL that starts with http://"),
    (_http(checksum="sha256"), "give ALGORITHM:DIGEST with one of md5, sha1, sha256, sha512"),
    (_http(checksum="crc32:00"), "give ALGORITHM:DIGEST"),
    (_http(checksum="sha256:abc"), "a digest of sha256 has 64 hexadecimal digits"),
    (_http(checksum=f"sha256:{'x' * 64}"), "a digest of sha256 has 64 hexadecimal digits"),
    ({"source": {"s3": {"url": "s3://bucket/disk"}}}, "has source.s3.url=s3://bucket/disk; give a URL"),
    ({"source": {"gcs": {"url": "bucket/disk"}}}, "has source.gcs.url=bucket/disk; give a URL"),
    (_registry(), "needs source.registry.url or source.registry.image_stream"),
    (_registry(image_stream="a", pull_method="node", **_IMAGE), "needs source.registry.url or"),
    (_registry(image_stream="a"), "which only the node can pull; give pull_method=node"),
    (_registry(image_stream="", pull_method="node"), "has an empty source.registry.image_stream"),
    (_registry(url="https://registry/image"), "give a URL that starts with docker:// or oci-archive:"),
    ({**_registry(**_IMAGE), "content_type": "archive"}, "has source.registry and content_type=archive"),
    ({"source": {"imageio": {**_IMAGEIO, "secret_ref": ""}}}, "has an empty source.imageio.secret_ref"),
    ({"source": {"imageio": {**_IMAGEIO, "disk_id": ""}}}, "has an empty source.imageio.disk_id"),
    ({"source": {"imageio": {**_IMAGEIO, "url": "ovirt"}}}, "has source.imageio.url=ovirt"),
    ({"source": {"imageio": {**_IMAGEIO, "cert_config_map": None}}}, "give it, or insecure_skip_verify=true"),
    *(
        ({"source": {"vddk": {**_VDDK, option: ""}}}, f"has an empty source.vddk.{option}")
        for option in ("url", "uuid", "backing_file", "thumbprint", "secret_ref")
    ),
    ({"source": {"pvc": {"name": ""}}}, "has an empty source.pvc.name"),
    ({"source": {"snapshot": {"name": ""}}}, "has an empty source.snapshot.name"),
    ({"source": None, "source_ref": {"name": ""}}, "has an empty source_ref.name"),
]
# Volumes that CDI accepts but cannot fill.
BY_US: list[tuple[Options, str]] = [
    ({"source": {"pvc": {"name": "disk"}}}, "is its own source (source.pvc.name='disk'); name the claim to clone from"),
    ({"source": {"pvc": {"name": "disk", "namespace": "demo"}}}, "is its own source (source.pvc.name='disk')"),
    (
        {
            "source": None,
            "storage": {"size": "1Gi", "data_source_ref": {"kind": "PersistentVolumeClaim", "name": "disk"}},
        },
        "is its own source (storage.data_source_ref.name='disk'); name another claim",
    ),
    ({"storage": {"size": "ten"}}, "has a size that CDI cannot read: 'ten' is not a Kubernetes quantity"),
    (
        {**_http(), "content_type": "archive", "storage": {"size": "1Gi", "volume_mode": "Block"}},
        "has content_type=archive and storage.volume_mode=Block",
    ),
    ({"on_drift": "recreate", "keep_claim": True}, "give one of them"),
    ({"labels": {"a": None}}, "has labels.a=None; give a string"),
    ({"annotations": {"a": {"b": "c"}}}, "has annotations.a={'b': 'c'}; give a string"),
]
ACCEPTED: list[Options] = [
    {},
    {"storage": {"size": "1048576"}},
    {"source": {"pvc": {"name": "a"}}, "storage": {"storage_class_name": "thin"}},
    {"source": {"snapshot": {"name": "a"}}, "storage": {"volume_mode": "Block"}},
    {"storage": {"size": "1Gi", "access_modes": ["ReadWriteOnce", "ReadWriteMany"]}},
    {"storage": None, "pvc": {"size": "1Gi", "access_modes": ["ReadWriteOncePod"]}},
    _http(checksum=f"SHA256: {_SHA.upper()}"),
    _http(url="HTTP://images/disk"),
    _http(checksum=""),
    {"source": {"s3": {"url": "http://s3/bucket/disk"}}},
    {"source": {"gcs": {"url": "gs://bucket/disk"}}},
    _registry(**_IMAGE),
    _registry(url="oci-archive:/images/disk.tar"),
    _registry(image_stream="a", pull_method="node"),
    {"source": {"imageio": {**_IMAGEIO, "cert_config_map": None, "insecure_skip_verify": True}}},
    {"source": {"vddk": _VDDK}},
    {**_http(), "content_type": "archive"},
    {"source": {"upload": {}}, "content_type": "archive"},
    {
        "source": None,
        "storage": {"size": "1Gi", "data_source_ref": {"kind": "Sample", "api_group": "example.com", "name": "a"}},
    },
]
