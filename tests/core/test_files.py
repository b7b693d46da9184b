"""Files that are there as a whole or not at all."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from untrained.core.errors import UntrainedError
from untrained.core.files import replaced, whole, write_whole


@pytest.mark.parametrize("way", [whole, replaced])
def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path, way):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with way(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("way", [whole, replaced])
@pytest.mark.parametrize(("error", "raised"), [(ValueError, ValueError), (OSError, UntrainedError)])
def test_what_goes_wrong_leaves_the_old_file_alone(tmp_path, way, error, raised):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write() -> None:
        with way(path) as part:
            part.write_text("half")
            raise error(errno.ENOSPC, "No space left on device")

    with pytest.raises(raised, match="No space left on device"):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("way", [whole, replaced])
def test_the_mode_is_that_of_the_old_file_or_of_new_ones(tmp_path, way):
    plain, closed = tmp_path / "plain", tmp_path / "closed"
    closed.touch()
    closed.chmod(0o600)
    for path in (plain, closed):
        with way(path) as part:
            part.unlink()
            os.close(os.open(part, os.O_CREAT | os.O_WRONLY, 0o640))  # a writer that makes its files private
    (tmp_path / "other").touch()
    assert plain.stat().st_mode == (tmp_path / "other").stat().st_mode
    assert closed.stat().st_mode & 0o777 == 0o600


def test_several_may_write_at_once(tmp_path):
    path, start = tmp_path / "a.txt", Barrier(8)

    def write(number: int) -> None:
        start.wait()
        write_whole(path, str(number) * 100_000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert path.read_text() in {str(n) * 100_000 for n in range(8)}
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_said():
    with pytest.raises(UntrainedError, match="cannot be written: No such file or directory; nothing was"):
        write_whole(Path("nowhere") / "a.txt", "x")
