import os
import stat
from pathlib import Path

import pytest

from jaxnet.files import replacing


def test_what_was_written_takes_the_place_of_the_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with replacing(target) as temporary:
        assert temporary.parent == tmp_path  # a move between file systems would not be atomic
        assert temporary.suffix == ".txt"  # which may name the format to write
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("before", ["old", None])
def test_after_a_failure_everything_is_as_it_was(tmp_path: Path, before: str | None) -> None:
    target = tmp_path / "a.txt"
    if before is not None:
        target.write_text(before)

    def fail() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half of it")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.read_text() for path in tmp_path.iterdir()] == ([] if before is None else [before])


def test_missing_folders_are_made_and_strings_will_do(tmp_path: Path) -> None:
    target = tmp_path / "b" / "c" / "a"
    with replacing(str(target)) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_umask_decides_who_may_read(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with replacing(tmp_path / "a") as temporary:
            temporary.write_text("new")
        assert os.umask(umask) == umask  # it is left as it is
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask
