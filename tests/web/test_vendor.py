"""The vendored browser assets are the recorded ones, with their licences."""

from __future__ import annotations

import pytest

from web.vendor import FOLDER, LOCK, HashMismatch, locked_files, verify


def test_every_vendored_file_is_the_recorded_one() -> None:
    files = list(locked_files())
    for file in files:
        verify(file, (FOLDER / file.name).read_bytes())
    assert {path.name for path in FOLDER.iterdir()} == {file.name for file in files} | {LOCK.name}


def test_another_file_is_noticed() -> None:
    file = next(locked_files())
    with pytest.raises(HashMismatch, match=file.package):
        verify(file, b"something else")


def test_every_package_comes_with_its_licence() -> None:
    files = list(locked_files())
    for package in {file.package for file in files}:
        names = [file.name for file in files if file.package == package]
        assert any("LICENSE" in name for name in names), package
    assert all(file.licence for file in files)
