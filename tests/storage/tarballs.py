"""Tar files for tests: sound ones, and such as no tool would write."""

import gzip
import io
import tarfile
from collections.abc import Mapping


def member(name: str, content: bytes = b"", *, kind: bytes = tarfile.REGTYPE, target: str = "") -> bytes:
    """Write one member: its header, its bytes and their padding."""
    header = tarfile.TarInfo(name)
    header.size, header.type, header.linkname = len(content), kind, target
    return header.tobuf(tarfile.PAX_FORMAT) + content + bytes(-len(content) % 512)


def tarball(*members: bytes) -> bytes:
    """Write members, and the end of the file."""
    return b"".join(members) + bytes(1024)


def files_tarball(files: Mapping[str, bytes]) -> bytes:
    """Write a tar file as tools do."""
    return tarball(*(member(name, content) for name, content in files.items()))


def unpack(content: bytes) -> dict[str, bytes]:
    """Read the files of a tar file as tools do."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for one in archive:
            file = archive.extractfile(one) if one.isfile() else None
            if file is not None:
                found[one.name] = file.read()
    return found


def packed(content: bytes) -> bytes:
    """Compress."""
    return gzip.compress(content, mtime=0)
