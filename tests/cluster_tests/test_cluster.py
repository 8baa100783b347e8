# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test cluster's commands, on an api cluster of its own beside those that may be up: its number is nobody's."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.__main__ import main
from tests.cluster.build import ensure
from tests.cluster.errors import ClusterError
from tests.cluster.runtime import bed, lifecycle, machine, objects
from tests.cluster.runtime.control_plane import ADMIN_TOKEN, LIMITED_TOKEN
from tests.cluster.runtime.profile import Profile

PROFILE = Profile("api", 9)
READY_SECONDS = 10
_NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "left-over"}}
_CDI = {"apiVersion": "cdi.kubevirt.io/v1beta1", "kind": "CDI", "metadata": {"name": "cdi", "finalizers": ["test/never"]}, "spec": {}}


@pytest.fixture(scope="module", autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state directory of PROFILE, which is nobody else's either."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield PROFILE.state


@pytest.fixture
def cluster() -> Iterator[Profile]:
    """PROFILE, up."""
    bed.up(PROFILE)
    yield PROFILE
    bed.down(PROFILE)


def test_up_is_quick_and_down_leaves_nothing(state: Path) -> None:
    ensure("kubernetes", "etcd", "cdi-manifests", "crds-snapshot")
    rules = _rules()
    started = time.monotonic()
    bed.up(PROFILE)
    took = time.monotonic() - started
    try:
        namespace = _network_namespace(_processes(state)["etcd"])
        mounts = Path(f"/proc/{_processes(state)['etcd']}/mounts").read_text()
        assert "kubevirt-cdi-test /run" in mounts
        assert Path("/sys/class/net", PROFILE.interface).exists()
        assert _rules() == rules
    finally:
        bed.down(PROFILE)
    assert took < READY_SECONDS
    assert namespace not in {_network_namespace(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    assert not _processes(state)
    assert not Path("/sys/class/net", PROFILE.interface).exists()
    for text in (_output("ip", "route"), _output("ip", "address")):
        assert PROFILE.host_address not in text
    assert str(state) not in _output("losetup", "--list") + Path("/proc/mounts").read_text()
    assert not state.exists()
    assert _rules() == rules


def test_up_again_changes_nothing(cluster: Profile) -> None:
    before = _processes(cluster.state)
    bed.up(cluster)
    assert _processes(cluster.state) == before


@pytest.mark.parametrize("name", ["etcd", "kube-apiserver"])
def test_what_ends_is_started_again_and_status_says_so(cluster: Profile, name: str) -> None:
    killed = _processes(cluster.state)[name]
    os.kill(killed, signal.SIGKILL)
    _eventually(lambda: _restarts(cluster)[name] == 1)
    _eventually(lambda: _processes(cluster.state).get(name, killed) != killed)
    objects.wait_for_server(cluster.kubeconfig, 30)


def test_the_tokens_have_the_rights_they_should(cluster: Profile) -> None:
    answers = [_status(cluster, token) for token in (ADMIN_TOKEN, LIMITED_TOKEN, "no-such-token")]
    assert answers == [200, 403, 401]


def test_reset_empties(cluster: Profile) -> None:
    """Of an object with a finalizer that nobody serves, too."""
    objects.apply(objects.connect(cluster.kubeconfig), [_NAMESPACE, _CDI])
    bed.reset(cluster)
    api = objects.connect(cluster.kubeconfig)
    namespaces = [item.metadata.name for item in api.resources.get(api_version="v1", kind="Namespace").get().items]
    assert "default" in namespaces
    assert "left-over" not in namespaces
    assert not api.resources.get(api_version="cdi.kubevirt.io/v1beta1", kind="CDI").get().items


def test_not_root_is_refused() -> None:
    with pytest.raises(ClusterError, match="user 65534 may not: run this as root"):
        os.seteuid(65534)
        try:
            bed.up(PROFILE)
        finally:
            os.seteuid(0)


def test_a_system_without_apt_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="there is no apt-get here: use Debian 12"):
        bed.up(PROFILE)


def test_a_full_disk_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "small", str(tmp_path)], check=True)
    try:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        with pytest.raises(ClusterError, match="has 0 GiB free and 3 GiB are needed"):
            bed.up(PROFILE)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_taken_address_is_refused() -> None:
    with _added("address", f"{PROFILE.host_address}/32", "dev", "lo"), pytest.raises(ClusterError, match="is taken on this machine"):
        bed.up(PROFILE)


def test_a_taken_interface_is_refused() -> None:
    with _added("link", PROFILE.interface, "type", "veth"), pytest.raises(ClusterError, match="exists already: run `down --profile api` first"):
        machine.check_network(PROFILE)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["up", "--profile", "huge"], "error: There is no profile 'huge': use one of full, api."),
        (["status", "--profile", "api"], "error: The api cluster is not up: run `up --profile api`."),
        (["env", "--profile", "api"], "error: The api cluster is not up: run `up --profile api`."),
        (["logs", "etcd", "--profile", "api"], "error: There is no log of 'etcd': use one of none, as nothing ran yet."),
    ],
)
def test_the_command_line_answers_in_one_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    assert capsys.readouterr().err == f"{sentence}\n"


def test_down_of_nothing_is_no_error() -> None:
    bed.down(PROFILE)
    assert not lifecycle.is_up(PROFILE)


def _processes(state: Path) -> dict[str, int]:
    """Process ids on the machine, by program, of what runs with files below `state`."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_text().split("\0")
            except OSError:
                continue
            if f"{state}/" in " ".join(words):
                name = Path(words[0]).name
                found["etcd" if name == "server" else name] = int(entry.name)
    return found


def _network_namespace(pid: int) -> str:
    """Empty for a process that has ended."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return ""


def _restarts(profile: Profile) -> dict[str, int]:
    return {row["name"]: row["restarts"] for row in bed.status(profile)}


def _rules() -> str:
    """The machine's own packet filter and routing rules; the cluster's must be in its namespace."""
    return _output("iptables-save") + _output("ip", "rule")


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _eventually(check: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.1)


def _status(profile: Profile, token: str) -> int:
    context = ssl.create_default_context(cafile=str(profile.certificates / "ca.crt"))
    request = urllib.request.Request(f"{profile.server}/api/v1/namespaces", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@contextmanager
def _added(kind: str, *what: str) -> Iterator[None]:
    lifecycle.ip(kind, "add", *what)
    try:
        yield
    finally:
        lifecycle.ip(kind, "delete", *(what if kind == "address" else what[:1]))
