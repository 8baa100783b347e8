# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the words of CDI, Kubernetes and storage drivers mean: the cause, and the remedy."""

from __future__ import annotations

import typing as t

from .refusals import QUOTA_EXCEEDED, RAISE_QUOTA

# The seconds for which a controller that retries must report the same problem before it counts.
LASTING = 4.0
# Errors of an image that CDI has corrupted, by decompressing the first bytes into the buffer that it reads them from
# (pkg/importer/format-readers.go, v1.65.0).
SPOILT = "distance out of range|compressed size too big"
# The seconds without progress of any other volume after which a lack of what that would release counts.
UNSHARED = 5.0
_AT_ONCE = 0.0
# How the libraries of CDI's importer report the status of an HTTP response: net/http, the registry client, S3 and GCS.
_STATUS = r"(?:got|HTTP status:|status code:?|StatusCode:|response code:?|error code:?) ?"
# Causes for which more evidence is read.
CLASS_MISSING, CLAIM_PENDING, CLONE_SOURCE_IN_USE = "storage_class_missing", "claim_pending", "clone_source_in_use"
CLAIM_MISSING = "claim_missing"
WORKER_REFUSED, STORAGE_FULL, TRANSFER_BROKEN = "worker_refused", "storage_full", "transfer_broken"
# Annotations of the claim of an upload: the SHA-256 of the file that is being sent and its start, and the SHA-256 of
# the file that CDI has stored.
INTENDED, BEGUN, UPLOADED = "kubevirt.cdi/upload-sha256", "kubevirt.cdi/upload-begun", "kubevirt.cdi/uploaded-sha256"


class Diagnosis(t.NamedTuple):
    """A problem: its code, the message, and the remedy. `grace`: the seconds for which it must last to count as a
    failure, None if it never counts. `since`: when it began, if known.
    """

    cause: str
    message: str
    remedy: str
    grace: float | None = None
    since: str = ""


class Rule(t.NamedTuple):
    """`words` is a regular expression. For `grace` see Diagnosis. `restarts`: the restarts of a worker before it
    counts."""

    words: str
    cause: str
    remedy: str
    grace: float | None = _AT_ONCE
    restarts: int = 0


IMAGE_PULL_FAILED = "image_pull_failed"
# What the kubelet reports of an image that a node does not pull, in which the options for CDI's pods have no part.
_PULL = r"(?s)^(?:ErrImagePull|ImagePullBackOff|Failed: Failed to pull image)\b.*"
_PULL_REASONS = (
    (
        "server gave HTTP response to HTTPS client",
        "configure the container runtime of the nodes for a registry without TLS, or set pull_method=pod and add the "
        "registry to insecure_registries (module kubevirt.cdi.cdi_config)",
    ),
    (
        "(?:x509:|failed to verify certificate)",
        "configure the container runtime of the nodes to trust the registry's CA, or set pull_method=pod and "
        "cert_config_map to a ConfigMap with the CA (under a key that ends in .crt)",
    ),
    (
        "(?:40[13] |[Uu]nauthorized|authorization failed|[Dd]enied|authentication required|toomanyrequests)",
        "correct the name of the image, or set image_pull_secrets (module kubevirt.cdi.cdi_config) to a Secret of the "
        "volume's namespace with access to the registry",
    ),
    (
        "(?:no such host|server misbehaving)",
        "correct the registry in the name of the image, or add it to the DNS that the nodes use",
    ),
    (
        "(?:connection refused|no route to host|network is unreachable|i/o timeout|TLS handshake timeout)",
        "check that the registry runs at this address and port, and that the nodes can reach it",
    ),
    (
        "(?:not found|manifest unknown|name unknown|NotFound)",
        "correct the name of the image",
    ),
)
PULL_RULES = tuple(Rule(_PULL + words, IMAGE_PULL_FAILED, remedy, LASTING * 2) for words, remedy in _PULL_REASONS)

# For pods that fetch, copy or receive data. The first rule that matches counts.
WORKER_RULES = (
    *PULL_RULES,
    Rule(
        "got 404|404 Not Found|NoSuchKey|NoSuchBucket|manifest unknown|name unknown",
        "source_not_found",
        "correct the URL",
    ),
    Rule(
        "got 40[13]|40[13] (Unauthorized|Forbidden)|unauthorized:|authentication required"
        "|InvalidAccessKeyId|SignatureDoesNotMatch|Access ?Denied",
        "source_unauthorized",
        "set secret_ref to a Secret with access to the URL",
    ),
    Rule(
        _STATUS + r"4(?!08|25|29)\d\d\b",
        "source_refused",
        "correct the URL, or check the log of the image server, which rejects the request",
    ),
    Rule(
        _STATUS + r"(5\d\d|408|425|429)\b",
        "source_server_failed",
        "check the log of the image server, and run the task again when it responds",
        _AT_ONCE,
        1,
    ),
    Rule(
        "server gave HTTP response to HTTPS client",
        "certificate_untrusted",
        "add the registry to insecure_registries (module kubevirt.cdi.cdi_config)",
    ),
    Rule(
        "certificate has expired|certificate is valid for",
        "certificate_untrusted",
        "renew the server's certificate, or use a host name that is in it",
    ),
    Rule(
        "x509:|failed to verify certificate",
        "certificate_untrusted",
        "set cert_config_map to a ConfigMap with the server's CA (for a registry, under a key that ends in .crt)",
    ),
    Rule(
        "no such host|server misbehaving",
        "source_unreachable",
        "correct the host in the URL, or add it to the cluster's DNS",
        LASTING,
        1,
    ),
    Rule(
        "connection refused|no route to host|network is unreachable|TLS handshake timeout"
        "|dial tcp [^ ]*: (i/o timeout|connect: connection timed out)",
        "source_unreachable",
        "check that the server runs at this address and port, and that pods can reach it",
        LASTING,
        1,
    ),
    Rule("[Cc]hecksum", "checksum_mismatch", "correct the checksum, or the image"),
    Rule("too small to contain image|larger than the reported available", "image_too_large", "request a larger size"),
    Rule(
        "[Ii]nvalid format|could not process image header|image is invalid|backing file",
        "image_invalid",
        "use an image that CDI reads (raw, qcow2, vmdk, vdi, vhd, vhdx; plain, gz, xz or zst), without a backing file",
    ),
    Rule(
        SPOILT,
        "image_unreadable",
        "unpack the image or compress it with gzip, as CDI corrupts some xz and zst images when it reads their header; "
        "or check that the image is complete",
    ),
    Rule(
        "unexpected EOF|connection reset by peer|broken pipe|stream error|GOAWAY|transfer closed"
        "|use of closed network connection|i/o timeout",
        TRANSFER_BROKEN,
        "check why the image server, or a proxy in front of it, ends the response before the end of the image; "
        "or upload the file instead",
        _AT_ONCE,
        1,
    ),
    Rule(
        "OOMKilled",
        "worker_out_of_memory",
        "raise pod_resource_requirements (module kubevirt.cdi.cdi_config)",
        LASTING * 1.5,
    ),
    Rule(
        'secret "[^"]*" not found',
        "secret_missing",
        "create the Secret in the volume's namespace, or correct its name",
        LASTING,
    ),
    Rule(
        'configmap "[^"]*" not found',
        "config_map_missing",
        "create the ConfigMap in the volume's namespace, or correct its name",
        LASTING,
    ),
    Rule(
        "ErrStartingPod",
        WORKER_REFUSED,
        "check that priority_class_name and service_account_name exist, "
        "and that limits and pod security of the namespace accept CDI's pods",
        LASTING,
    ),
    Rule("ErrExceededQuota", QUOTA_EXCEEDED, "raise the namespace's quota: CDI's pods require room in it", UNSHARED),
    Rule(
        "^(ErrImagePull|ImagePullBackOff|InvalidImageName"
        "|ImagePullFailed: failed to pull image|Failed: Failed to pull image)",
        IMAGE_PULL_FAILED,
        "correct the name of the image, or make it available to the node",
        LASTING * 2,
    ),
    # The end of other pods or an autoscaler makes room. A claim that is about to bind is not a scheduling problem.
    Rule(
        "Insufficient|Too many pods|were unschedulable|node.kubernetes.io/",
        "worker_unschedulable",
        "free resources on a node for CDI's pods",
        None,
    ),
    Rule(
        "node affinity|node selector|untolerated taint",
        "worker_unschedulable",
        "make a node accept CDI's pods and the volume (cdi option workload, taints, the volume's node affinity)",
        LASTING,
    ),
    Rule(
        "FailedAttachVolume|FailedMapVolume|MountVolume\\.",
        "mount_failed",
        "check the log of the storage driver on the node",
        None,
    ),
)

# For claims, and what becomes one.
CLAIM_RULES = (
    Rule(
        'no storageClass to choose profile|storageclass[^ ]* "[^"]*" not found',
        CLASS_MISSING,
        "name an existing storage class, or make one the default",
    ),
    Rule("NoStorageClass", CLASS_MISSING, "name an existing storage class, or make one the default", LASTING),
    Rule("ContentType Archive", "claim_not_valid", "set volume_mode=Filesystem"),
    Rule(
        "ErrClaimNotValid",
        "storage_profile_incomplete",
        "set access_modes and volume_mode, or the storage profile of the class (module kubevirt.cdi.storage_profile)",
    ),
    Rule("ErrResourceExists", "claim_exists", "delete the claim of that name, or use a different name for the volume"),
    Rule("ClaimLost", "claim_lost", "delete the volume and create it again: its PersistentVolume no longer exists"),
    Rule(
        "ErrExceededQuota|exceeded quota",
        QUOTA_EXCEEDED,
        RAISE_QUOTA,
        UNSHARED,
    ),
    Rule(
        "source (pvc|snapshot) .* doesn't exist|CloneWithoutSource",
        "clone_source_missing",
        "create the source, or correct its name and namespace",
        LASTING,
    ),
    Rule(
        "CloneSourceInUse",
        CLONE_SOURCE_IN_USE,
        "stop the pod or VM that uses the source, or clone from a snapshot of it",
        LASTING,
    ),
    Rule(
        "ErrIncompatiblePVC|CloneValidationFailed|smaller than the source",
        "clone_not_valid",
        "request at least the size of the source",
        LASTING,
    ),
    Rule(
        "[Cc]lone.*token|token (missing|uid|validation)|verifying token",
        "clone_token_invalid",
        "delete the volume and declare it again: its right to clone has expired",
        LASTING,
    ),
    Rule(
        "Snapshot[A-Za-z]*(Failed|Error)|[Ff]ailed to (create|take|check and update) snapshot",
        "snapshot_failed",
        "check the log of the storage driver, or copy: clone_strategy=copy (module kubevirt.cdi.storage_profile)",
        LASTING * 2,
    ),
    # Which errors mean that provisioning continues, as the provisioner decides it (external-provisioner v5.3.0,
    # pkg/controller/controller.go, checkError).
    Rule(
        "code = (Canceled|DeadlineExceeded|Unavailable|Aborted)",
        "provisioning_failed",
        "check the log of the storage driver",
        None,
    ),
    Rule(
        "code = ResourceExhausted",
        STORAGE_FULL,
        "free space in the storage, or request a smaller size or another class",
        UNSHARED,
    ),
    Rule(
        "code = (InvalidArgument|OutOfRange|Unimplemented)",
        "provisioning_failed",
        "correct what the driver rejects: the size, the volume_mode or the storage class",
    ),
    Rule(
        "ProvisioningFailed|failed to provision volume",
        "provisioning_failed",
        "check the log of the storage driver",
        LASTING * 2,
    ),
    Rule(
        "ClaimPending",
        CLAIM_PENDING,
        "check that the provisioner of the storage class runs, or create a PersistentVolume",
        None,
    ),
)
