"""Uploads for tests: files with their names, as the client sends them."""

from __future__ import annotations

import io
import zipfile

from tests.studies.study_films import FRONT, SIDE, film, picture

Sent = list[tuple[str, tuple[str, bytes]]]


def files(**named: bytes) -> Sent:
    """Files by name; the last underscore is a dot: ``one_dcm`` -> ``one.dcm``."""
    return [("files", (".".join(name.rsplit("_", 1)), data)) for name, data in named.items()]


def study(number: int = 1) -> Sent:
    """Two films of one DICOM study."""
    uid = f"1.2.{number}"
    return files(one_dcm=film(str(number), uid, 1, **FRONT), two_dcm=film(str(number), uid, 2, **SIDE))


def one(seed: int = 1) -> Sent:
    """One picture."""
    return files(front_png=picture(seed))


def archive(sent: Sent, **more: bytes) -> bytes:
    """A zip archive of files in a folder, and of more files by their names."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as packed:
        for _, (name, content) in sent:
            packed.writestr(f"study/{name}", content)
        for name, content in more.items():
            packed.writestr(name, content)
    return data.getvalue()
