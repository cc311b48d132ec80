"""Rebuilds the vendored browser assets: `python -m web.vendor`, needs npm.

`static/vendor/vendor.lock` names each package, its version, licence, files and their SHA-256.
Every file is fetched anew with `npm pack` and must have the recorded hash, or nothing is written.
At run time nothing is fetched: what is in the repository is what browsers get.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "static" / "vendor"
LOCK = FOLDER / "vendor.lock"


@dataclass(frozen=True, kw_only=True)
class VendoredFile:
    """One file: its name here, its path in the npm package, its hash."""

    package: str
    version: str
    licence: str
    name: str
    source: str
    sha256: str


class HashMismatch(Exception):
    """A file is not the one recorded in the lock."""


def locked_files() -> Iterator[VendoredFile]:
    """The files of the lock."""
    for package in json.loads(LOCK.read_text()):
        for file in package["files"]:
            yield VendoredFile(
                package=package["name"],
                version=package["version"],
                licence=package["licence"],
                **file,
            )


def verify(file: VendoredFile, content: bytes) -> bytes:
    """The content, which has the recorded hash.

    Raises:
        HashMismatch: it has another one.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise HashMismatch(
            f"{file.name} of {file.package} {file.version} has SHA-256 {found}, "
            f"{LOCK.name} says {file.sha256}: find out why before you change the lock"
        )
    return content


def fetch(files: list[VendoredFile]) -> dict[str, bytes]:
    """Every file by name, fresh from npm and verified."""
    contents: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for package, version in dict.fromkeys((file.package, file.version) for file in files):
            packed = subprocess.run(
                ["npm", "pack", "--silent", f"{package}@{version}"],  # noqa: S607 # from the PATH
                cwd=folder,
                check=True,
                capture_output=True,
                text=True,
            )
            archive = Path(folder) / packed.stdout.split()[-1]
            with tarfile.open(archive) as opened:
                for file in files:
                    if file.package == package:
                        member = opened.extractfile(f"package/{file.source}")
                        content = member.read() if member else b""
                        contents[file.name] = verify(file, content)
    return contents


def main() -> None:
    """Fetch, verify, write."""
    files = list(locked_files())
    for name, content in fetch(files).items():
        (FOLDER / name).write_bytes(content)
    sys.stdout.write(f"{len(files)} files fetched; all hashes are as in {LOCK.name}\n")


if __name__ == "__main__":
    main()
