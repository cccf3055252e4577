"""Films of made-up patients, as files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from tests.dicom_films import dicom_film

FRONT = {"ViewPosition": "PA"}
SIDE = {"PatientOrientation": ["P", "F"]}


def pixels(seed: int, side: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4096, (side, side - 4), np.uint16)


def film(patient: str, study: str, number: int, **tags: object) -> bytes:
    """A DICOM film; the same patient, study and number give the same file."""
    names = {
        "PatientID": patient,
        "PatientName": f"Family{patient}^Given",
        "PatientBirthDate": "19700101",
        "StudyInstanceUID": study,
        "SeriesInstanceUID": f"{study}.1",
        "SOPInstanceUID": f"{study}.1.{number}",
        "InstanceNumber": number,
    }
    seed = int("".join(filter(str.isdigit, study)) or 0) % 9973 + number
    return dicom_film(pixels(seed), **{**names, **tags})


def picture(seed: int) -> bytes:
    """A PNG film."""
    file = io.BytesIO()
    Image.fromarray((pixels(seed) >> 4).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def colour_picture() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def even_picture(grey: int) -> bytes:
    """A PNG without contrast."""
    file = io.BytesIO()
    Image.fromarray(np.full((60, 60), grey, np.uint8)).save(file, "PNG")
    return file.getvalue()


def written(folder: Path, **files: bytes) -> Path:
    """Write files; two underscores in a name are a folder, the last one a dot: ``a__b_png`` -> ``a/b.png``."""
    for name, data in files.items():
        stem, _, suffix = name.replace("__", "/").rpartition("_")
        path = folder / f"{stem}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
