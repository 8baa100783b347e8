# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attempts that break, and whose bytes a filled volume has when others write into it: never a digest for what was not sent."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.module import Task
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi.status import release
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.rules import INTENDED, UPLOADED
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.file import FileIdentity
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import Image
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError, CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.redaction import redact
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import CDI, DATA_VOLUME
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import REACHED, Verdict
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.wait import Outcome
from ansible_collections.kubevirt.cdi.plugins.module_utils._storage.overhead import NO_OVERHEAD, Overhead
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload import sender as sending
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.transfer import Answer, Route, SourceFile

DIGEST, OTHER = "a" * 64, "b" * 64
SIZE = 1000


class _Cluster:
    """A DataVolume that is ready for bytes until something fills it, and its claim."""

    def __init__(self) -> None:
        self.phase = "UploadReady"
        self.noted: dict[str, str] = {}
        self.tokens = 0

    def get(self, resource: Any, name: str, namespace: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": namespace}
        if resource is DATA_VOLUME:
            return {"metadata": metadata, "spec": {"source": {"upload": {}}}, "status": {"phase": self.phase}}
        return {"metadata": {**metadata, "annotations": dict(self.noted)}}

    def merge(self, resource: Any, name: str, namespace: str, body: dict[str, Any], **_options: Any) -> dict[str, Any]:
        noted = {**self.noted, **body["metadata"]["annotations"]}
        self.noted = {key: value for key, value in noted.items() if value is not None}
        return self.get(resource, name, namespace)

    def create(self, _resource: Any, _body: Any, _namespace: str, **_options: Any) -> dict[str, Any]:
        self.tokens += 1
        return {"status": {"token": f"upload-token-{self.tokens}"}}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> _Cluster:
    made = _Cluster()

    def wait_for(_connection: Any, kind: Any, namespace: str, names: list[str], *_rest: Any) -> dict[str, Outcome]:
        return {name: Outcome(Verdict(REACHED), made.get(kind, name, namespace)) for name in names}

    monkeypatch.setattr(sending, "wait_for", wait_for)
    monkeypatch.setattr(sending.time, "sleep", lambda _seconds: None)
    return made


def _upload(
    cluster: _Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *answers: tuple[Any, ...]
) -> sending.Item:
    """Send; of each attempt how many bytes leave, what is answered or raised, the volume's phase then, and the answer's text."""
    left = iter(answers)

    def send(_route: Any, _token: str, _source: SourceFile, _patience: float, progress: Any) -> Answer:
        sent, status, cluster.phase, *text = next(left)
        progress(sent)
        if isinstance(status, Exception):
            raise status
        return Answer(status, *(text or [""]))

    monkeypatch.setattr(sending, "send", send)
    path = tmp_path / "disk.raw"
    path.write_bytes(bytes(SIZE))
    connection: Any = cluster
    session = sending.Session(Task({"retries": 4, "wait_timeout": 1}, connection, False, print))
    session._route = Route("url", "proxy", lambda: None)
    upload = {"name": "disk", "namespace": "demo", "path": str(path)}
    item = sending.Item(upload, digest=DIGEST, identity=FileIdentity.of(str(path)), plan=sending.rules.SEND)
    item.image = Image("raw", None, SIZE, SIZE, SIZE)
    item.volume, item.claim = cluster.get(DATA_VOLUME, "disk", "demo"), cluster.get(None, "disk", "demo")
    monkeypatch.setattr(sending, "_warnings", lambda _session, _item: "")
    monkeypatch.setattr(sending.rules, "declared", lambda upload: upload)
    sending.send_until_taken(session, item)
    return item


@pytest.mark.parametrize(("seconds", "tokens"), [(1, 1), (200, 2)])
def test_a_token_that_is_about_to_expire_is_renewed_before_it_is_refused(
    cluster: _Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: int, tokens: int
) -> None:
    """CDI's tokens live for 300 s; here each look at the clock takes `seconds`."""
    clock = itertools.count(0, seconds)
    monkeypatch.setattr(sending.time, "monotonic", lambda: next(clock))
    _upload(cluster, monkeypatch, tmp_path, (10, 0, "UploadReady"), (SIZE, 200, "Succeeded"))
    assert cluster.tokens == tokens
    # A proxy may show what it was sent.
    assert redact(f"Authorization: Bearer upload-token-{tokens}") == "Authorization: Bearer ***"


FULL = "effective image size is larger than available size"


def test_a_volume_that_is_full_of_a_broken_upload_is_made_anew(
    cluster: _Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    replaced = []
    monkeypatch.setattr(sending, "replace", lambda _session, _item, why: replaced.append(why))
    answers = (10, 0, "UploadReady"), (10, 400, "UploadReady", FULL), (SIZE, 200, "Succeeded")
    item = _upload(cluster, monkeypatch, tmp_path, *answers)
    assert item.retries == 2 and len(replaced) == 1 and FULL in replaced[0]


@pytest.mark.parametrize("noted", [None, DIGEST])
def test_a_volume_that_is_too_small_for_the_file_is_made_anew_once_at_most(
    cluster: _Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, noted: str | None
) -> None:
    """A run before may have left something, when it has noted that it would."""
    cluster.noted.update({INTENDED: noted} if noted else {})
    replaced = []
    monkeypatch.setattr(sending, "replace", lambda _session, _item, why: replaced.append(why))
    with pytest.raises(CdiError, match="The image needs 1Mi; request at least that, or omit the size"):
        _upload(cluster, monkeypatch, tmp_path, *[(10, 400, "UploadReady", FULL)] * 2)
    assert len(replaced) == (1 if noted else 0)


@pytest.mark.parametrize("status", [0, 502, 504])
def test_a_lost_answer_may_have_been_a_yes(
    cluster: _Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int
) -> None:
    item = _upload(cluster, monkeypatch, tmp_path, (SIZE, status, "Succeeded"))
    assert item.retries == 1 and cluster.noted[UPLOADED] == cluster.noted[INTENDED] == DIGEST


def test_a_server_that_is_busy_with_what_it_was_sent_before_is_waited_for(
    cluster: _Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The answer to the first attempt got lost, and CDI takes longer than all the pauses between attempts."""
    busy = [(0, 503, "UploadReady")] * 9
    item = _upload(cluster, monkeypatch, tmp_path, (SIZE, 504, "UploadReady"), *busy, (0, 503, "Succeeded"))
    assert item.retries == 1 and cluster.noted[UPLOADED] == DIGEST


UNREACHED = "error in upload-proxy: http: proxy error: dial tcp 10.204.213.75:443: connect: connection refused"


@pytest.mark.parametrize(("seconds", "counted"), [(0.1, 0), (4, 2)])
def test_an_address_that_leads_to_no_server_yet_is_waited_for(
    cluster: _Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: float, counted: int
) -> None:
    """The server is ready, and the nodes do not know its Service yet. Each look at the clock takes `seconds`, and after 15 s it counts."""
    clock = itertools.count(1, seconds)
    monkeypatch.setattr(sending.time, "monotonic", lambda: next(clock))
    item = _upload(
        cluster, monkeypatch, tmp_path, *[(SIZE, 502, "UploadReady", UNREACHED)] * 3, (SIZE, 200, "Succeeded")
    )
    assert item.retries == counted and cluster.noted[UPLOADED] == DIGEST


def test_what_no_server_took_is_not_what_fills_the_volume(
    cluster: _Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(CdiError, match="DataVolume demo/disk was filled by another client during this upload"):
        _upload(cluster, monkeypatch, tmp_path, (SIZE, 502, "Succeeded", UNREACHED))
    assert not {UPLOADED, INTENDED} & set(cluster.noted)


def test_a_server_that_stays_busy_is_named(cluster: _Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Here each look at the clock takes a second, as long as the user waits."""
    clock = itertools.count(0, 1)
    monkeypatch.setattr(sending.time, "monotonic", lambda: next(clock))
    with pytest.raises(CdiError, match="demo/disk was busy for 1 s .*HTTP 503.*; wait until the volume is filled"):
        _upload(cluster, monkeypatch, tmp_path, *[(0, 503, "UploadReady")] * 3)
    assert INTENDED not in cluster.noted


@pytest.mark.parametrize("answers", [[(SIZE, 503)], [(SIZE - 1, 0)], [(SIZE, 503), (0, 0)], [(SIZE, 409)]])
def test_what_was_refused_or_cut_off_is_not_what_fills_the_volume(
    cluster: _Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answers: list[tuple[int, int]]
) -> None:
    phases = ["UploadReady"] * (len(answers) - 1) + ["Succeeded"]
    with pytest.raises(CdiError, match="DataVolume demo/disk was filled by another client during this upload"):
        _upload(cluster, monkeypatch, tmp_path, *((*answer, phase) for answer, phase in zip(answers, phases)))
    assert not {UPLOADED, INTENDED} & set(cluster.noted)


@pytest.mark.parametrize(("sent", "status", "kept"), [(0, 401, {}), (SIZE - 1, 0, {INTENDED: DIGEST})])
def test_a_file_of_which_nothing_was_taken_leaves_no_note(
    cluster: _Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sent: int, status: int, kept: dict[str, str]
) -> None:
    """Who uploads meanwhile fills the volume with another one, and the next run would take that for this one."""
    with pytest.raises(CdiError, match="failed after 5 attempts"):
        _upload(cluster, monkeypatch, tmp_path, *[(sent, status, "UploadReady")] * 5)
    assert {key: value for key, value in cluster.noted.items() if key == INTENDED} == kept


def test_what_another_task_has_begun_is_left_to_it(
    cluster: _Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster.noted[INTENDED] = OTHER
    with pytest.raises(CdiError, match=f"Another task is uploading a different file .SHA-256 {OTHER}. into demo/disk"):
        _upload(cluster, monkeypatch, tmp_path)
    assert cluster.noted[INTENDED] == OTHER


def test_what_somebody_else_has_filled_is_not_noted_as_ours(
    cluster: _Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The next run would take it for its own upload, of which only the end is not known."""
    cluster.phase = "Succeeded"
    with pytest.raises(CdiError, match="was filled by another client"):
        _upload(cluster, monkeypatch, tmp_path)
    assert INTENDED not in cluster.noted


@pytest.mark.parametrize("code", [401, 403])
def test_what_the_api_server_forbids_is_told_and_not_tried_again(
    cluster: _Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int
) -> None:
    with pytest.raises(CdiError, match="^Cannot portforward: no$"):
        _upload(cluster, monkeypatch, tmp_path, (0, ApiError("Cannot portforward: no", code), "UploadReady"))
    assert INTENDED not in cluster.noted


def test_what_else_keeps_the_api_server_from_forwarding_may_pass(
    cluster: _Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = (0, ApiError("Cannot portforward: broken", 0), "UploadReady")
    assert _upload(cluster, monkeypatch, tmp_path, broken, (SIZE, 200, "Succeeded")).retries == 1


@pytest.mark.parametrize(
    ("target", "overhead"),
    [
        ({"volume_mode": "Block"}, NO_OVERHEAD),
        ({"storage_class_name": "slow"}, Overhead(0.2, release("v1.61.1"))),
        ({}, Overhead(0.1, release("v1.61.1"))),
    ],
)
def test_a_claim_that_names_no_class_has_the_overhead_of_the_default_class(target: Any, overhead: Overhead) -> None:
    class Cluster:
        def get(self, *_what: Any) -> dict[str, Any]:
            return {
                "status": {"filesystemOverhead": {"global": "0.06", "storageClass": {"fast": "0.1", "slow": "0.2"}}}
            }

        def list(self, resource: Any, _namespace: Any = None, **_selectors: Any) -> Any:
            if resource == CDI:
                return [
                    {"metadata": {"name": "cdi"}, "status": {"phase": "Deployed", "observedVersion": "v1.61.1"}}
                ], "1"
            default = {"storageclass.kubernetes.io/is-default-class": "true"}
            return [{"metadata": {"name": "fast", "annotations": default}}, {"metadata": {"name": "slow"}}], "1"

    connection: Any = Cluster()
    session = sending.Session(Task({"wait_timeout": 1}, connection, False, print))
    assert session.overhead(target) == overhead
