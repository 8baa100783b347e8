# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a clone: each method, each fallback, each refusal, and the remedy."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone import model
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone.model import Facts, Source, StorageClass, Target
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone.remedy import plan
from hypothesis import given
from hypothesis import strategies as some

GIB = 1024**3
BOTH = ((("ReadWriteOnce",), "Filesystem"), (("ReadWriteOnce",), "Block"))
FAST = StorageClass("fast", "a.csi", expansion=True, strategy="snapshot", snapshot_class="a", claim_property_sets=BOTH)
OTHER = StorageClass("other", "b.csi", expansion=True, strategy="copy", claim_property_sets=BOTH)
DISK = Source("pvc", "images/golden", "a.csi", FAST, "Block", GIB, GIB, measured=True)
FILES = DISK._replace(volume_mode="Filesystem")
IMAGE = Source("snapshot", "images/golden", "a.csi", FAST, "Block", GIB, GIB)


def _facts(source: Source | None = DISK, target_class: StorageClass | None = FAST, /, **options: Any) -> Facts:
    of_cluster: dict[str, Any] = {
        key: options.pop(key) for key in ("override", "snapshot_classes", "version") if key in options
    }
    name = target_class.name if target_class else "gone"
    asked: dict[str, Any] = {"by_storage": True, "size": GIB, "volume_mode": "Block", **options}
    target = Target(storage_class=target_class, class_name=name, **asked)
    classes = tuple(item for item in (FAST, OTHER) if item)
    known: dict[str, Any] = {"snapshot_classes": (("a", "a.csi"),), "classes": classes, **of_cluster}
    return Facts(target, source, **known)


def test_snapshot_is_chosen_when_the_class_supports_it() -> None:
    made = plan(_facts())
    assert made == ("snapshot", "The storage profile of fast has the strategy snapshot.", None, False, None, (), None)


@pytest.mark.parametrize("strategy", ["snapshot", "csi-clone", "copy"])
def test_the_strategy_of_the_profile_is_chosen(strategy: str) -> None:
    assert plan(_facts(DISK, FAST._replace(strategy=strategy))).method == strategy


def test_snapshot_is_chosen_when_the_profile_has_no_strategy() -> None:
    made = plan(_facts(DISK, FAST._replace(strategy=None)))
    assert (made.method, made.reason) == (
        "snapshot",
        "The storage profile of fast has no strategy, so CDI uses snapshot.",
    )


@pytest.mark.parametrize(("mode", "doubted"), [("Filesystem", True), ("Block", False)])
def test_a_copy_of_a_snapshot_warns_when_its_restore_may_fail(mode: str, doubted: bool) -> None:
    first = FAST._replace(name="block-only", claim_property_sets=((("ReadWriteOnce",), "Block"),))
    made = plan(_facts(IMAGE._replace(volume_mode=mode, storage_class=first), OTHER, volume_mode=mode))
    assert made.method == "copy"
    warning = (
        "restores the snapshot to class block-only, the first class of the driver by name, "
        "whose storage profile has no Filesystem volumes"
    )
    assert (warning in made.reason) is doubted


def test_the_remedy_for_a_bad_snapshot_is_to_create_it_again() -> None:
    made = plan(_facts(IMAGE._replace(problem="snapshot has no restore size")))
    assert (made.method, made.error) == (None, "snapshot has no restore size")
    assert made.remedy and made.remedy.startswith("delete the VolumeSnapshot and create it again")


def test_no_method_is_predicted_while_the_driver_is_unknown() -> None:
    made = plan(_facts(IMAGE._replace(driver=None, waits=("VolumeSnapshot images/golden to be ready",))))
    assert (made.method, made.error, made.waits_for) == (None, None, ("VolumeSnapshot images/golden to be ready",))


@pytest.mark.parametrize("strategy", ["snapshot", "csi-clone", "copy"])
def test_the_override_wins_over_the_profile(strategy: str) -> None:
    made = plan(_facts(DISK, FAST._replace(strategy="copy"), override=strategy))
    assert (made.method, made.reason) == (strategy, f"The CDI object's cloneStrategyOverride requests {strategy}.")


@pytest.mark.parametrize("strategy", ["snapshot", "csi-clone", "copy"])
def test_the_annotation_wins_over_all_and_is_not_checked(strategy: str) -> None:
    slow = FAST._replace(strategy="copy", expansion=False)
    made = plan(_facts(DISK, slow, override="copy", forced=strategy))
    assert (made.method, made.forced, made.error) == (strategy, True, None)
    # Seen on a real cluster: CDI still tries to expand the claim.
    larger = plan(_facts(DISK, slow, override="copy", forced=strategy, size=2 * GIB))
    assert (larger.method, larger.error) == (strategy, None if strategy == "copy" else model.NO_EXPANSION)


@pytest.mark.parametrize(
    ("facts", "message", "remedy"),
    [
        (_facts(DISK, FAST._replace(csi=False)), model.NO_POPULATOR, None),
        (
            _facts(populator=False),
            model.NO_POPULATOR,
            "omit the annotation cdi.kubevirt.io/storage.usePopulator",
        ),
        (
            _facts(DISK, FAST._replace(snapshot_class=None), snapshot_classes=()),
            model.NO_SNAPSHOT_CLASS,
            "create a VolumeSnapshotClass for driver a.csi, if it supports snapshots",
        ),
        (_facts(DISK, OTHER._replace(strategy="snapshot")), model.NO_SNAPSHOT_CLASS, "clone to class fast"),
        (_facts(DISK, OTHER._replace(strategy="csi-clone")), model.INCOMPATIBLE_PROVISIONERS, "clone to class fast"),
        (_facts(size=2 * GIB, volume_mode="Filesystem"), model.INCOMPATIBLE_MODES, "set volume_mode=Block"),
        (
            _facts(DISK, FAST._replace(expansion=False), size=2 * GIB),
            model.NO_EXPANSION,
            "set allowVolumeExpansion on class fast",
        ),
        (_facts(IMAGE, OTHER), model.NO_PROVISIONER_MATCH, "clone to class fast"),
        (
            _facts(IMAGE, size=2 * GIB, volume_mode="Filesystem"),
            model.INCOMPATIBLE_MODES,
            "set volume_mode=Block",
        ),
        (
            _facts(IMAGE, FAST._replace(expansion=False), size=2 * GIB),
            model.NO_EXPANSION,
            "set allowVolumeExpansion on class fast",
        ),
    ],
)
def test_each_fallback_has_its_reason_and_remedy(facts: Facts, message: str, remedy: str | None) -> None:
    made = plan(facts)
    assert (made.method, made.fallback_reason, made.error) == ("copy", message, None)
    assert message in made.reason
    if remedy:
        assert made.remedy == remedy


def test_a_chosen_copy_is_not_a_fallback_and_has_a_remedy() -> None:
    chosen = plan(_facts(DISK, FAST._replace(strategy="copy", strategy_set_by_user=True)))
    assert (chosen.method, chosen.fallback_reason) == ("copy", None)
    assert chosen.remedy == "set clone_strategy of the storage profile fast to snapshot"
    overridden = plan(_facts(override="copy"))
    assert overridden.remedy == "remove cloneStrategyOverride copy from the CDI object"


def test_a_remedy_may_take_two_changes() -> None:
    made = plan(_facts(DISK, OTHER._replace(strategy="csi-clone"), volume_mode="Filesystem", size=2 * GIB))
    assert made.remedy == "set volume_mode=Block and clone to class fast"


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        (_facts(size=1023 << 20), "1023Mi is smaller than the source's 1Gi"),
        (_facts(IMAGE, size=1023 << 20), "1023Mi is smaller than the source's 1Gi"),
        (
            _facts(content_type="archive", volume_mode=None),
            "Source contentType (kubevirt) and target contentType (archive) do not match",
        ),
        (
            _facts(DISK, FAST._replace(claim_property_sets=()), volume_mode=None),
            "no accessMode specified in StorageProfile fast",
        ),
        (_facts(DISK, None), "PVC spec is missing accessMode and no storageClass to choose profile"),
        (_facts(DISK, FAST._replace(strategy="fast")), "unknown strategy/source fast"),
        (_facts(IMAGE, forced="csi-clone"), "unknown strategy/source csi-clone"),
        (
            _facts(DISK, FAST._replace(snapshot_class=None), forced="snapshot", snapshot_classes=()),
            "no compatible volumesnapshotclass",
        ),
        # What CDI tries, and the driver always rejects.
        (_facts(DISK._replace(driver="b.csi"), forced="csi-clone"), model.INCOMPATIBLE_PROVISIONERS),
        (_facts(DISK._replace(driver="b.csi"), forced="snapshot"), model.INCOMPATIBLE_PROVISIONERS),
        (_facts(IMAGE._replace(driver="b.csi"), forced="snapshot"), model.INCOMPATIBLE_PROVISIONERS),
        (_facts(DISK, forced="csi-clone", volume_mode="Filesystem"), model.INCOMPATIBLE_MODES),
        (_facts(DISK, forced="snapshot", volume_mode="Filesystem"), model.INCOMPATIBLE_MODES),
        (_facts(content_type="archive"), "ContentType Archive cannot have block volumeMode"),
        (
            _facts(DISK._replace(content_type="archive"), content_type="archive", volume_mode=None),
            "source volumeMode (Block) and target volumeMode (Filesystem) do not match, contentType (archive)",
        ),
        (_facts(DISK, None, by_storage=False, populator=True), "storage class gone not found"),
        (
            _facts(DISK, FAST._replace(provisioner="kubernetes.io/x")),
            "can't use populator with in-tree storage class kubernetes.io/x",
        ),
        (
            _facts(IMAGE._replace(request=0), size=None),
            "size not specified by user/provisioner, can't tell how much needed for restore",
        ),
        (
            _facts(FILES, FAST._replace(overhead=0.0), size=GIB // 2, volume_mode="Filesystem"),
            "512Mi is smaller than the source's 966Mi",
        ),
        (_facts(forced="snapshot", snapshot_classes=()), 'VolumeSnapshotClass.snapshot.storage.k8s.io "a" not found'),
    ],
)
def test_the_error_of_a_refused_clone_has_the_words_of_cdi(facts: Facts, error: str) -> None:
    assert plan(facts).error == error


def test_the_remedy_for_a_small_target_is_the_required_size() -> None:
    assert plan(_facts(size=1023 << 20)).remedy == "request at least 1Gi or omit the size"
    by_claim = plan(_facts(size=1023 << 20, by_storage=False))
    assert by_claim.remedy == "request at least 1Gi"


def test_a_copy_to_a_file_system_requires_its_overhead() -> None:
    """CDI checks that after its choice, and reports it only in its log."""
    made = plan(_facts(volume_mode="Filesystem", by_storage=False))
    assert (made.method, made.fallback_reason) == ("copy", model.INCOMPATIBLE_MODES)
    assert (
        made.error
        == "966Mi, which a claim of 1Gi has without the overhead of its file system, is smaller than the source's 1Gi"
    )


def test_a_permissive_clone_may_be_smaller() -> None:
    assert plan(_facts(FILES, size=1023 << 20, volume_mode="Filesystem", permissive=True)).error is None


def test_a_clone_waits_for_a_missing_source() -> None:
    made = plan(_facts(None)._replace(missing="the source pvc images/golden, which does not exist"))
    assert (made.method, made.error) == (None, None)
    assert made.waits_for == ("the source pvc images/golden, which does not exist",)


def test_a_clone_waits_for_a_consumer_and_for_pods() -> None:
    busy = DISK._replace(users=("pod images/vm using PersistentVolumeClaim golden",))
    made = plan(_facts(busy, FAST._replace(waits_for_consumer=True)))
    assert made.method == "snapshot"
    assert made.waits_for == (
        "pod images/vm using PersistentVolumeClaim golden",
        "a pod that uses the claim, as class fast uses WaitForFirstConsumer",
    )
    assert plan(_facts(DISK, FAST._replace(waits_for_consumer=True), immediate=True)).waits_for == ()


def test_a_filesystem_source_requires_no_expansion_without_a_size() -> None:
    fixed = FAST._replace(expansion=False)
    assert plan(_facts(FILES, fixed, size=None, volume_mode="Filesystem")).method == "snapshot"
    # Without a content type, CDI takes the capacity as the size of the disk, or it has measured the disk.
    for larger in (FILES._replace(measured=False), FILES._replace(image_size=2 * GIB)):
        made = plan(_facts(larger, fixed, size=None, volume_mode="Filesystem"))
        assert (made.method, made.fallback_reason) == ("copy", model.NO_EXPANSION)


@pytest.mark.parametrize(("version", "method"), [((1, 61, 1), "snapshot"), ((1, 62, 0), "copy"), ((), "copy")])
def test_snapshots_are_compared_by_mode_since_1_62(version: tuple[int, ...], method: str) -> None:
    assert plan(_facts(IMAGE, size=2 * GIB, volume_mode="Filesystem", version=version)).method == method


@pytest.mark.parametrize(("version", "refused"), [((1, 63, 1), True), ((1, 64, 0), False)])
def test_a_request_is_raised_to_the_minimum_since_1_64(version: tuple[int, ...], refused: bool) -> None:
    made = plan(_facts(DISK, FAST._replace(minimum=4 * GIB), size=1023 << 20, version=version))
    assert bool(made.error) == refused


def test_a_named_snapshot_class_must_exist() -> None:
    """A profile keeps the name of a deleted snapshot class."""
    made = plan(_facts(snapshot_classes=(("b", "a.csi"),)))
    assert made.error == 'VolumeSnapshotClass.snapshot.storage.k8s.io "a" not found'
    assert made.remedy == "set snapshot_class of the storage profile fast to b"


_classes = some.builds(
    StorageClass,
    name=some.sampled_from(["fast", "other"]),
    provisioner=some.sampled_from(["a.csi", "b.csi", "kubernetes.io/x"]),
    csi=some.booleans(),
    expansion=some.booleans(),
    waits_for_consumer=some.booleans(),
    strategy=some.sampled_from([None, "", "copy", "snapshot", "csi-clone"]),
    snapshot_class=some.sampled_from([None, "a", "b"]),
    overhead=some.floats(0.0, 0.9),
    claim_property_sets=some.sampled_from([(), BOTH, BOTH[::-1]]),
)
_modes = some.sampled_from(["Filesystem", "Block"])
_sizes = some.integers(1 << 20, 4 * GIB)
_sources = some.builds(
    Source,
    kind=some.sampled_from(["pvc", "snapshot"]),
    title=some.just("images/golden"),
    driver=some.sampled_from([None, "a.csi", "b.csi"]),
    storage_class=some.none() | _classes,
    volume_mode=_modes,
    request=_sizes,
    capacity=some.none() | _sizes,
    measured=some.booleans(),
)
_targets = some.builds(
    Target,
    by_storage=some.booleans(),
    storage_class=some.none() | _classes,
    class_name=some.just("fast"),
    volume_mode=some.none() | _modes,
    size=some.none() | _sizes,
    content_type=some.sampled_from(["kubevirt", "archive"]),
    forced=some.sampled_from([None, None, "copy", "snapshot", "csi-clone", "else"]),
    populator=some.sampled_from([None, None, True, False]),
)
_any = some.builds(
    Facts,
    target=_targets,
    source=some.none() | _sources,
    override=some.sampled_from([None, None, "copy", "snapshot", "csi-clone"]),
    snapshot_classes=some.sampled_from([(), (("a", "a.csi"),), (("a", "b.csi"), ("b", "a.csi"))]),
    classes=some.just((FAST, OTHER)),
    version=some.sampled_from([(), (1, 61, 1), (1, 65, 0)]),
)


@given(_any)
def test_all_facts_have_a_plan(facts: Facts) -> None:
    made = plan(facts)
    assert made.reason
    assert made.method or made.error or made.waits_for or (facts.source and facts.source.driver is None)
    if made.fallback_reason:
        assert made.method == "copy"
    if made.remedy:
        assert made.method == "copy" or made.error
