# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the words of CDI, Kubernetes and storage drivers mean: the cause, and the remedy."""

from __future__ import annotations

import typing as t

from .refusals import QUOTA_EXCEEDED, RAISE_QUOTA

# Seconds for which a controller that tries again has to say the same, until it counts.
LASTING = 4.0
# Of an image that CDI has spoilt: it decompresses the first bytes into the buffer that it still reads them from (pkg/importer/format-readers.go, v1.65.0).
SPOILT = "distance out of range|compressed size too big"
# Seconds for which nothing else may get on, until a lack of what it would give back counts.
UNSHARED = 5.0
_AT_ONCE = 0.0
# What the libraries of CDI's importer say of an HTTP answer: net/http's own words, the registry client's, those of S3 and GCS.
_STATUS = r"(?:got|HTTP status:|status code:?|StatusCode:|response code:?|error code:?) ?"
# Causes of which more is read.
CLASS_MISSING, CLAIM_PENDING, CLONE_SOURCE_IN_USE = "storage_class_missing", "claim_pending", "clone_source_in_use"
WORKER_REFUSED, STORAGE_FULL, TRANSFER_BROKEN = "worker_refused", "storage_full", "transfer_broken"
# Annotations of an upload's claim: the SHA-256 of the file that is sent and since when, and of the file that CDI has taken.
INTENDED, BEGUN, UPLOADED = "kubevirt.cdi/upload-sha256", "kubevirt.cdi/upload-begun", "kubevirt.cdi/uploaded-sha256"


class Rule(t.NamedTuple):
    """`words` is a regular expression; for `grace` see Diagnosis; `restarts` of a worker have to be seen before it counts."""

    words: str
    cause: str
    remedy: str
    grace: float | None = _AT_ONCE
    restarts: int = 0


# Of the pods that fetch, copy or receive. The first rule that knows the words counts.
WORKER_RULES = (
    Rule(
        "got 404|404 Not Found|NoSuchKey|NoSuchBucket|manifest unknown|name unknown",
        "source_not_found",
        "correct the URL",
    ),
    Rule(
        "got 40[13]|40[13] (Unauthorized|Forbidden)|unauthorized:|authentication required|InvalidAccessKeyId|SignatureDoesNotMatch|Access ?Denied",
        "source_unauthorized",
        "give a secret_ref with the right to read the URL",
    ),
    Rule(
        _STATUS + r"4(?!08|25|29)\d\d\b",
        "source_refused",
        "the image's server refuses the request: correct the URL, or see the server's log",
    ),
    Rule(
        _STATUS + r"(5\d\d|408|425|429)\b",
        "source_server_failed",
        "the image's server fails: see its log, and run the task again when it answers",
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
        "renew the server's certificate, or use a name that it has",
    ),
    Rule(
        "x509:|failed to verify certificate",
        "certificate_untrusted",
        "give the server's CA in cert_config_map (for a registry, under a key that ends in .crt)",
    ),
    Rule(
        "no such host|server misbehaving",
        "source_unreachable",
        "correct the host in the URL, or make the cluster's DNS know it",
        LASTING,
        1,
    ),
    Rule(
        "connection refused|no route to host|network is unreachable|dial tcp [^ ]*: (i/o timeout|connect: connection timed out)|TLS handshake timeout",
        "source_unreachable",
        "see that the server runs at this address and port, and that pods may reach it",
        LASTING,
        1,
    ),
    Rule("[Cc]hecksum", "checksum_mismatch", "correct the checksum, or the image"),
    Rule("too small to contain image|larger than the reported available", "image_too_large", "ask for a larger size"),
    Rule(
        "[Ii]nvalid format|could not process image header|image is invalid|backing file",
        "image_invalid",
        "give an image that CDI reads (raw, qcow2, vmdk, vdi, vhd, vhdx; plain, gz, xz or zst), without a backing file",
    ),
    Rule(
        SPOILT,
        "image_unreadable",
        "give the image unpacked or packed with gzip, as CDI spoils some in xz or zst while it looks at their header; or see that it is whole",
    ),
    Rule(
        "unexpected EOF|connection reset by peer|broken pipe|stream error|GOAWAY|transfer closed|use of closed network connection|i/o timeout",
        TRANSFER_BROKEN,
        "see why the image's server, or a proxy before it, ends the answer before the whole image has come; or upload the file instead",
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
        "see that priority_class_name and service_account_name exist, and that limits and pod security of the namespace let CDI's pods in",
        LASTING,
    ),
    Rule("ErrExceededQuota", QUOTA_EXCEEDED, "raise the namespace's quota: CDI's pods need room in it", UNSHARED),
    Rule(
        "^(ErrImagePull|ImagePullBackOff|InvalidImageName|ImagePullFailed: failed to pull image|Failed: Failed to pull image)",
        "image_pull_failed",
        "correct the image's name, or let the node pull it",
        LASTING * 2,
    ),
    # More room comes when other pods end, or by an autoscaler; and a claim that is about to be bound is no fault of the scheduler.
    Rule(
        "Insufficient|Too many pods|were unschedulable|node.kubernetes.io/",
        "worker_unschedulable",
        "make room on a node for CDI's pods",
        None,
    ),
    Rule(
        "node affinity|node selector|untolerated taint",
        "worker_unschedulable",
        "let a node take CDI's pods and the volume (cdi option workload, taints, the volume's node affinity)",
        LASTING,
    ),
    Rule(
        "FailedAttachVolume|FailedMapVolume|MountVolume\\.",
        "mount_failed",
        "see what the storage driver says on the node",
        None,
    ),
)

# Of claims and what is to become one.
CLAIM_RULES = (
    Rule(
        'no storageClass to choose profile|storageclass[^ ]* "[^"]*" not found',
        CLASS_MISSING,
        "name a storage class that exists, or make one the default",
    ),
    Rule("NoStorageClass", CLASS_MISSING, "name a storage class that exists, or make one the default", LASTING),
    Rule("ContentType Archive", "claim_not_valid", "give volume_mode=Filesystem"),
    Rule(
        "ErrClaimNotValid",
        "storage_profile_incomplete",
        "give access_modes and volume_mode, or set the class's storage profile (module kubevirt.cdi.storage_profile)",
    ),
    Rule("ErrResourceExists", "claim_exists", "delete the claim of that name, or give the volume another name"),
    Rule("ClaimLost", "claim_lost", "delete the volume and make it anew: its persistent volume is gone"),
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
        "end the pod (or VM) that uses the source, or clone from a snapshot of it",
        LASTING,
    ),
    Rule(
        "ErrIncompatiblePVC|CloneValidationFailed|smaller than the source",
        "clone_not_valid",
        "ask for at least the size of the source",
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
        "see what the storage driver says, or copy instead: clone_strategy=copy (module kubevirt.cdi.storage_profile)",
        LASTING * 2,
    ),
    # What is still under way, and what is not, by the provisioner's own reckoning (external-provisioner v5.3.0, pkg/controller/controller.go, checkError).
    Rule(
        "code = (Canceled|DeadlineExceeded|Unavailable|Aborted)",
        "provisioning_failed",
        "see what the storage driver says",
        None,
    ),
    Rule(
        "code = ResourceExhausted",
        STORAGE_FULL,
        "make room in the storage, or ask for a smaller size or another class",
        UNSHARED,
    ),
    Rule(
        "code = (InvalidArgument|OutOfRange|Unimplemented)",
        "provisioning_failed",
        "correct what the driver refuses: the size, the volume_mode or the storage class",
    ),
    Rule(
        "ProvisioningFailed|failed to provision volume",
        "provisioning_failed",
        "see what the storage driver says",
        LASTING * 2,
    ),
    Rule(
        "ClaimPending",
        CLAIM_PENDING,
        "see that the provisioner of the storage class runs, or create a persistent volume",
        None,
    ),
)
