#!/usr/bin/env bash
# pydicom 3.0.2: HighBit is not looked at. A film that keeps 12 bits in the upper part of its 16-bit words (BitsStored 12,
# HighBit 15: allowed by the DICOM editions that older detectors were built to) is read as if they lay in the lower part,
# and what lies above is cut off: no error, no warning, another film.
#
# Seen: stored levels 0, 1, 100, 300, 4095 come out as 0, 16, 1600, 704, 4080. Right: shift each word by
# HighBit + 1 - BitsStored.
# Exits with 1 where this is no longer so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6
"$place/bin/python" - <<'PYTHON'
import io
import sys
import warnings

import numpy
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

film = Dataset()
film.file_meta = FileMetaDataset()
film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID = DigitalXRayImageStorageForPresentation
film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID = generate_uid()
film.Rows, film.Columns, film.SamplesPerPixel, film.PhotometricInterpretation = 1, 6, 1, "MONOCHROME2"
film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 16, 12, 15, 0
levels = numpy.array([0, 1, 100, 300, 4095, 0], "<u2")
film.PixelData = (levels << 4).tobytes()
file = io.BytesIO()
film.save_as(file, enforce_file_format=True)
file.seek(0)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    read = pydicom.dcmread(file).pixel_array.ravel()
print(f"pydicom {pydicom.__version__}: stored {levels[:5].tolist()}, read {read[:5].tolist()}, warnings {len(told)}")
sys.exit(not (read[:5].tolist() == [0, 16, 1600, 704, 4080] and not told))
PYTHON
