"""Files for jobs on a disk that client and server both see: offered by link, copied, checked."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest
from PIL import Image

from fakes import footage
from fakes.live_server import LiveServer
from layert2v.rerender import Plate, RerenderSpec
from layert2v_client import Client, InvalidRequest, TransferOptions
from layert2v_client.transfer import LocalFile, find_missing, local_file, upload, upload_files
from layert2v_client.transfer.shared_disk import SharedInbox

MIB = 1 << 20
SKY = RerenderSpec("replace", ("bg",), plate=Plate("plate", "sRGB - Texture", "opaque", "fit"))


@pytest.fixture
def no_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test fail that sends a chunk."""

    def refuse(self: object, offset: int) -> None:
        raise AssertionError(f"chunks are sent from {offset} on")

    monkeypatch.setattr(upload._Upload, "_send_segment", refuse)


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    """Return a folder with a picture that no other test has."""
    (tmp_path / "plate").mkdir()
    picture = tmp_path / "plate/a.png"
    Image.effect_noise((300, 200), uuid.uuid4().int % 90 + 10).save(picture)
    return tmp_path / "plate"


def send(client: Client, file: LocalFile, options: TransferOptions | None = None) -> None:
    options = options or TransferOptions()
    upload_files(client._connection, {file.sha256: file}, uuid.uuid4(), options)


def offered_files(live: LiveServer) -> list[Path]:
    return list((live.data / "inbox").iterdir())


@pytest.mark.usefixtures("no_chunks")
def test_plates_and_footage_are_copied_by_the_server(
    client: Client, live: LiveServer, fox: Path, plate: Path, tmp_path: Path
) -> None:
    client.rerender(fox, SKY, inputs={"plate": plate}).wait()
    save = footage.save_png(footage.flat(uuid.uuid4().int % 200))
    shot = footage.sequence(tmp_path / "shot", save, name="shot.100{}.png")
    client.decompose(shot).wait()
    files = [local_file(path) for path in (*plate.iterdir(), *shot.iterdir())]
    assert not find_missing(client._connection, [file.sha256 for file in files])
    assert offered_files(live) == []
    for file in files:
        assert file.path.stat().st_nlink == 1  # what was checked is a copy


@pytest.mark.usefixtures("no_chunks")
def test_progress_is_reported(client: Client, tmp_path: Path) -> None:
    (tmp_path / "plate").write_bytes(os.urandom(3 * MIB))
    reported: list[tuple[int, int]] = []
    options = TransferOptions(report=lambda done, total: reported.append((done, total)))
    send(client, local_file(tmp_path / "plate"), options)
    assert reported[-1] == (3 * MIB, 3 * MIB)


def test_a_file_that_was_changed_is_refused(
    client: Client, live: LiveServer, tmp_path: Path
) -> None:
    (tmp_path / "plate").write_bytes(os.urandom(MIB))
    file = local_file(tmp_path / "plate")
    for size in (MIB, MIB + 1):
        file.path.write_bytes(os.urandom(size))
        with pytest.raises(InvalidRequest, match="is not the file any more that it was"):
            send(client, file)
        assert find_missing(client._connection, [file.sha256]) == {file.sha256}
        assert offered_files(live) == []


def test_chunks_are_sent_where_the_server_does_not_look(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "inbox_of_another_server"
    elsewhere.mkdir()
    link, tried = SharedInbox.link, []

    def link_elsewhere(self: SharedInbox, file: Path, inbox_path: str) -> Path | None:
        tried.append(link(self, file, str(elsewhere / Path(inbox_path).name)))
        return tried[-1]

    monkeypatch.setattr(SharedInbox, "link", link_elsewhere)
    files = {}
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(os.urandom(2 * MIB + 5))
        files |= {(file := local_file(tmp_path / name)).sha256: file}
    upload_files(client._connection, files, uuid.uuid4(), TransferOptions())
    assert not find_missing(client._connection, files)
    assert [place is None for place in tried] == [False, True]  # once is enough
    assert list(elsewhere.iterdir()) == []


@pytest.mark.usefixtures("no_chunks")
def test_a_large_file_is_copied_in_several_calls(client: Client, tmp_path: Path) -> None:
    size = 130 * MIB  # of which one call copies 128
    with (tmp_path / "plate").open("wb") as file:
        file.write(os.urandom(MIB))
        file.truncate(size)
    reported: list[int] = []
    send(
        client,
        local_file(tmp_path / "plate"),
        TransferOptions(report=lambda n, _: reported.append(n)),
    )
    assert reported == [128 * MIB, size, size]
