# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attempts that break, and volumes that other clients fill: a digest is never recorded for data that was not sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.module import Task
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi.status import release
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.volume import NOT_READ
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.rules import INTENDED, UPLOADED
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.file import FileIdentity
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import Image
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError, CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.redaction import redact
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import CDI, DATA_VOLUME
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import REACHED, WAITING, Verdict
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.wait import Outcome as Waited
from ansible_collections.kubevirt.cdi.plugins.module_utils._storage.overhead import NO_OVERHEAD, Overhead
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.answers import Answer
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.outcome import (
    BEGUN,
    EMPTIED,
    File,
    Outcome,
    Target,
    followed,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.sender import send_until_taken
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.session import Outside, Session
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.source import Interrupted, SourceFile
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.transfer import Route

from tests.upload_samples import DIGEST, OTHER, upload_options

SIZE = 1000
NO_ROUTE = dict.fromkeys(("upload_proxy_url", "upload_proxy_ca", "cdi_namespace"))
WANTED = {"metadata": {"name": "disk", "namespace": "demo"}, "spec": {"source": {"upload": {}}}}


class _Cluster:
    """A DataVolume that is ready for data until something fills it, and its claim."""

    def __init__(self) -> None:
        self.phase = "UploadReady"
        self.annotations: dict[str, str] = {}
        self.tokens = 0
        self.recreated = 0
        # Whether CDI has yet to learn that the volume was deleted, and reports what it knew of the old claim.
        self.behind = False

    def get(self, resource: Any, name: str, namespace: str) -> Any:
        metadata = {"name": name, "namespace": namespace, "uid": f"uid-{self.recreated}"}
        if resource is DATA_VOLUME:
            phase = "Succeeded" if self.behind else self.phase
            return {"metadata": metadata, "spec": {"source": {"upload": {}}}, "status": {"phase": phase}}
        owner = {"kind": "DataVolume", "uid": metadata["uid"]}
        claim = {"metadata": {**metadata, "annotations": dict(self.annotations), "ownerReferences": [owner]}}
        return None if self.behind else claim

    def list(self, *_what: Any, **_options: Any) -> Any:
        return [], "1"

    def merge(self, resource: Any, name: str, namespace: str, body: dict[str, Any], **_options: Any) -> Any:
        annotations = {**self.annotations, **body["metadata"]["annotations"]}
        self.annotations = {key: value for key, value in annotations.items() if value is not None}
        return self.get(resource, name, namespace)

    def create(self, _resource: Any, _body: Any, _namespace: str, **_options: Any) -> dict[str, Any]:
        self.tokens += 1
        return {"status": {"token": f"upload-token-{self.tokens}"}}

    def apply(self, resource: Any, body: dict[str, Any], **_options: Any) -> Any:
        return self.get(resource, body["metadata"]["name"], "demo")

    def delete(self, _resource: Any, _name: str, _namespace: str, **_options: Any) -> None:
        self.recreated += 1
        self.annotations.clear()


class _World:
    """The outside of an upload: a clock, and a proxy that gives the answers of a test. Each attempt takes `seconds`."""

    def __init__(self, cluster: _Cluster, answers: tuple[tuple[Any, ...], ...], seconds: float) -> None:
        self._cluster, self._answers, self._seconds, self.now = cluster, iter(answers), seconds, 1000.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def send(self, _route: Any, _token: str, _source: SourceFile, _patience: float, progress: Any) -> Answer:
        sent, status, self._cluster.phase, *text = next(self._answers)
        self.now += self._seconds
        progress(sent, None, sent == SIZE)
        if isinstance(status, Exception):
            raise status
        return Answer(status, *(text or [""]))

    def wait_for(
        self, _connection: Any, kind: Any, namespace: str, names: list[str], judge: Any, *_rest: Any
    ) -> dict[str, Waited]:
        (name,) = names
        if self._cluster.behind and judge(name, self._cluster.get(kind, name, namespace)).state == WAITING:
            self._cluster.behind = False
        return {name: Waited(Verdict(REACHED), self._cluster.get(kind, name, namespace))}

    @property
    def outside(self) -> Outside:
        route = Route("url", "proxy", lambda: None)
        return Outside(
            lambda: self.now, self.sleep, lambda *_: route, self.send, self.wait_for, lambda *_arguments: None
        )


def _followed(
    cluster: _Cluster, folder: Path, *answers: tuple[Any, ...], seconds: float = 0.1, timeout: int = 600
) -> tuple[Outcome, CdiError | None]:
    """Send with up to 4 retries. An answer is what happens in an attempt: the bytes sent, the status or the error, the
    phase of the volume afterwards, and the text.
    """
    path = folder / "disk.raw"
    path.write_bytes(bytes(SIZE))
    connection: Any = cluster
    session = Session(
        Task({**NO_ROUTE, "retries": 4, "wait_timeout": timeout}, connection, False, print),
        _World(cluster, answers, seconds).outside,
    )
    options = upload_options(path=str(path), when_in_use="delete")
    target = Target(("demo", "disk"), cluster.get(DATA_VOLUME, "disk", "demo"), cluster.get(None, "disk", "demo"))
    file = File(str(path), FileIdentity.of(str(path)), Image("raw", None, SIZE, SIZE, SIZE), DIGEST)
    outcome = Outcome(options, target, digest=DIGEST)
    return followed(send_until_taken(session, outcome, file, WANTED, "uploaded"), outcome)


def _send(cluster: _Cluster, folder: Path, *answers: tuple[Any, ...], **options: Any) -> Outcome:
    outcome, error = _followed(cluster, folder, *answers, **options)
    if error:
        raise error
    return outcome


@pytest.fixture
def cluster() -> _Cluster:
    return _Cluster()


def test_result_counts_the_last_attempt(cluster: _Cluster, tmp_path: Path) -> None:
    outcome = _send(cluster, tmp_path, (10, 0, "UploadReady"), (SIZE, 200, "Succeeded"), seconds=3)
    transfer = outcome.transfer
    assert (transfer.bytes_sent, transfer.seconds, transfer.retries, transfer.route) == (SIZE, 3, 1, "url")
    assert (outcome.action, outcome.changed, cluster.annotations[UPLOADED]) == ("uploaded", True, DIGEST)


def test_web_server_that_breaks_off_costs_an_attempt(cluster: _Cluster, tmp_path: Path) -> None:
    broken = (10, Interrupted("The file cannot be fetched."), "UploadReady")
    outcome = _send(cluster, tmp_path, broken, (SIZE, 200, "Succeeded"))
    assert outcome.transfer.retries == 1 and cluster.annotations[UPLOADED] == DIGEST
    cluster.phase = "UploadReady"
    outcome, error = _followed(cluster, tmp_path, *[broken] * 5)
    assert "after 5 attempts; last error: the connection broke (The file cannot be fetched)." in str(error)


@pytest.mark.parametrize(("seconds", "tokens"), [(1, 1), (250, 2)])
def test_token_is_renewed_before_it_expires(cluster: _Cluster, tmp_path: Path, seconds: int, tokens: int) -> None:
    """CDI's tokens are valid for 300 s; here each attempt takes `seconds`."""
    _send(cluster, tmp_path, (10, 0, "UploadReady"), (SIZE, 200, "Succeeded"), seconds=seconds)
    assert cluster.tokens == tokens
    # A proxy may show what it was sent.
    assert redact(f"Authorization: Bearer upload-token-{tokens}") == "Authorization: Bearer ***"


FULL = "effective image size is larger than available size"


def test_volume_full_of_a_broken_upload_is_recreated(cluster: _Cluster, tmp_path: Path) -> None:
    answers = (10, 0, "UploadReady"), (10, 400, "UploadReady", FULL), (SIZE, 200, "Succeeded")
    outcome = _send(cluster, tmp_path, *answers)
    assert outcome.transfer.retries == 2 and cluster.recreated == 1 and outcome.made == "uid-1"


def test_recreated_volume_is_sent_when_cdi_still_reports_the_success_of_the_old_one(tmp_path: Path) -> None:
    class Behind(_Cluster):
        def delete(self, *what: Any, **options: Any) -> None:
            super().delete(*what, **options)
            self.behind = True

    cluster = Behind()
    answers = (10, 0, "UploadReady"), (10, 400, "UploadReady", FULL), (SIZE, 200, "Succeeded")
    outcome = _send(cluster, tmp_path, *answers)
    assert outcome.transfer.bytes_sent == SIZE and cluster.annotations[UPLOADED] == DIGEST


@pytest.mark.parametrize("intended", [None, DIGEST])
def test_volume_too_small_for_the_file_is_recreated_at_most_once(
    cluster: _Cluster, tmp_path: Path, intended: str | None
) -> None:
    """An earlier run may have left something if it recorded the file."""
    cluster.annotations.update({INTENDED: intended} if intended else {})
    outcome, error = _followed(cluster, tmp_path, *[(10, 400, "UploadReady", FULL)] * 2)
    assert "The image needs 1Mi; request at least that, or omit the size" in str(error)
    assert cluster.recreated == (1 if intended else 0)
    assert outcome.action == (EMPTIED if intended else BEGUN) and outcome.changed
    assert outcome.transfer.bytes_sent == 10


@pytest.mark.parametrize("status", [0, 502, 504])
def test_upload_succeeds_when_only_its_answer_is_lost(cluster: _Cluster, tmp_path: Path, status: int) -> None:
    outcome = _send(cluster, tmp_path, (SIZE, status, "Succeeded"))
    assert outcome.transfer.retries == 1
    assert cluster.annotations[UPLOADED] == cluster.annotations[INTENDED] == DIGEST


def test_server_busy_with_an_earlier_attempt_is_waited_for(cluster: _Cluster, tmp_path: Path) -> None:
    """The answer to the first attempt got lost, and CDI takes longer than all the pauses between attempts."""
    busy = [(0, 503, "UploadReady")] * 9
    outcome = _send(cluster, tmp_path, (SIZE, 504, "UploadReady"), *busy, (0, 503, "Succeeded"))
    assert outcome.transfer.retries == 1 and cluster.annotations[UPLOADED] == DIGEST


UNREACHED = "error in upload-proxy: http: proxy error: dial tcp 10.204.213.75:443: connect: connection refused"


@pytest.mark.parametrize(("seconds", "counted"), [(0.1, 0), (16, 2)])
def test_server_whose_address_does_not_lead_to_it_yet_is_waited_for(
    cluster: _Cluster, tmp_path: Path, seconds: float, counted: int
) -> None:
    """The server is ready, and the nodes do not know its Service yet. After 15 s, such an attempt counts."""
    answers = [(SIZE, 502, "UploadReady", UNREACHED)] * 3
    outcome = _send(cluster, tmp_path, *answers, (SIZE, 200, "Succeeded"), seconds=seconds)
    assert outcome.transfer.retries == counted and cluster.annotations[UPLOADED] == DIGEST


FILLED_BY_OTHER = "DataVolume demo/disk was filled by another client during this upload"


def test_digest_is_not_recorded_when_no_server_took_the_data(cluster: _Cluster, tmp_path: Path) -> None:
    with pytest.raises(CdiError, match=FILLED_BY_OTHER):
        _send(cluster, tmp_path, (SIZE, 502, "Succeeded", UNREACHED))
    assert not {UPLOADED, INTENDED} & set(cluster.annotations)


def test_error_names_a_server_that_stays_busy(cluster: _Cluster, tmp_path: Path) -> None:
    with pytest.raises(CdiError, match=r"demo/disk was busy for 1 s .*HTTP 503.*; wait until the volume is filled"):
        _send(cluster, tmp_path, *[(0, 503, "UploadReady")] * 3, timeout=1)
    assert INTENDED not in cluster.annotations


@pytest.mark.parametrize("answers", [[(SIZE, 503)], [(SIZE - 1, 0)], [(SIZE, 503), (0, 0)], [(SIZE, 409)]])
def test_digest_is_not_recorded_when_the_data_was_refused_or_cut_off(
    cluster: _Cluster, tmp_path: Path, answers: list[tuple[int, int]]
) -> None:
    phases = ["UploadReady"] * (len(answers) - 1) + ["Succeeded"]
    with pytest.raises(CdiError, match=FILLED_BY_OTHER):
        _send(cluster, tmp_path, *((*answer, phase) for answer, phase in zip(answers, phases, strict=True)))
    assert not {UPLOADED, INTENDED} & set(cluster.annotations)


@pytest.mark.parametrize(("sent", "status", "kept"), [(0, 401, {}), (SIZE - 1, 0, {INTENDED: DIGEST})])
def test_intended_digest_is_removed_when_nothing_was_taken(
    cluster: _Cluster, tmp_path: Path, sent: int, status: int, kept: dict[str, str]
) -> None:
    """Otherwise, the next run would take a file that another client uploads for this one."""
    outcome, error = _followed(cluster, tmp_path, *[(sent, status, "UploadReady")] * 5)
    assert "failed after 5 attempts" in str(error) and outcome.transfer.retries == 4
    assert {key: value for key, value in cluster.annotations.items() if key == INTENDED} == kept
    assert outcome.action == (BEGUN if sent else "unchanged") and outcome.changed == bool(sent)


def test_upload_of_another_task_is_left_alone(cluster: _Cluster, tmp_path: Path) -> None:
    cluster.annotations[INTENDED] = OTHER
    with pytest.raises(
        CdiError, match=rf"Another task is uploading a different file \(digest {OTHER}\) into demo/disk"
    ):
        _send(cluster, tmp_path)
    assert cluster.annotations[INTENDED] == OTHER


def test_intended_digest_is_not_recorded_when_another_client_has_filled_the_volume(
    cluster: _Cluster, tmp_path: Path
) -> None:
    """The next run would take it for its own upload that was interrupted at the end."""
    cluster.phase = "Succeeded"
    with pytest.raises(CdiError, match="was filled by another client"):
        _send(cluster, tmp_path)
    assert INTENDED not in cluster.annotations


@pytest.mark.parametrize("code", [401, 403])
def test_upload_is_not_retried_when_the_api_server_forbids_it(cluster: _Cluster, tmp_path: Path, code: int) -> None:
    with pytest.raises(CdiError, match=r"^Cannot portforward: no$"):
        _send(cluster, tmp_path, (0, ApiError("Cannot portforward: no", code), "UploadReady"))
    assert INTENDED not in cluster.annotations


def test_upload_is_retried_when_the_api_server_fails_to_forward(cluster: _Cluster, tmp_path: Path) -> None:
    broken = (0, ApiError("Cannot portforward: broken", 0), "UploadReady")
    assert _send(cluster, tmp_path, broken, (SIZE, 200, "Succeeded")).transfer.retries == 1


def test_an_error_while_sending_keeps_the_bytes_in_the_result(cluster: _Cluster, tmp_path: Path) -> None:
    outcome, error = _followed(cluster, tmp_path, (10, CdiError("the file changed"), "UploadReady"))
    assert str(error) == "the file changed" and outcome.transfer.bytes_sent == 10


def test_a_claim_that_was_not_read_differs_from_one_that_does_not_exist() -> None:
    unread, missing = Target(("demo", "disk")), Target(("demo", "disk"), None, None)
    assert unread.claim is NOT_READ and missing.claim is None and unread != missing
    assert not unread.exists and unread.known_claim is None


@pytest.mark.parametrize(
    ("target", "overhead"),
    [
        ({"volume_mode": "Block"}, NO_OVERHEAD),
        ({"storage_class_name": "slow"}, Overhead(0.2, release("v1.61.1"))),
        ({}, Overhead(0.1, release("v1.61.1"))),
    ],
)
def test_overhead_of_a_claim_without_a_class_is_that_of_the_default_class(target: Any, overhead: Overhead) -> None:
    class Cluster:
        def get(self, *_what: Any) -> dict[str, Any]:
            return {
                "status": {"filesystemOverhead": {"global": "0.06", "storageClass": {"fast": "0.1", "slow": "0.2"}}}
            }

        def list(self, resource: Any, _namespace: Any = None, **_options: Any) -> Any:
            if resource == CDI:
                return [
                    {"metadata": {"name": "cdi"}, "status": {"phase": "Deployed", "observedVersion": "v1.61.1"}}
                ], "1"
            default = {"storageclass.kubernetes.io/is-default-class": "true"}
            return [{"metadata": {"name": "fast", "annotations": default}}, {"metadata": {"name": "slow"}}], "1"

    connection: Any = Cluster()
    session = Session(Task({"wait_timeout": 1}, connection, False, print))
    assert session.overhead(target) == overhead
