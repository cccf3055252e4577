#!/usr/bin/env bash
# Orthanc 1.10.1 with its DICOMweb plugin 1.7 (as packaged by Debian 12): two patients' films under one StudyInstanceUID, as
# after a wrong merge or a copied header, are two studies to Orthanc. QIDO-RS lists both, without a filter or by StudyDate;
# with ModalitiesInStudy in the query it lists one of the two, although both have that modality. So a program that looks for
# new chest films by modality and compares the number of instances never hears of the second patient's film. Ask by date, and
# read ModalitiesInStudy from the answers.
#
# Seen:
#   Orthanc 1.10.1, DICOMweb 1.7: rows without a filter 2, StudyDate 2,
#   ModalitiesInStudy 1; modalities of all: DX DX
# Exits with 1 where this is no longer so. Needs Debian 12 (apt-get) on amd64; nothing is installed outside the temporary folder.
set -euo pipefail
place=$(mktemp -d)
trap 'kill "${archive:-0}" 2>/dev/null || true; rm -rf "$place"' EXIT
python3 -m venv "$place/python"
"$place/python/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2
mkdir "$place/packages" "$place/root" "$place/store"
(
  cd "$place/packages"
  apt-get download orthanc=1.10.1+dfsg-2+deb12u1 orthanc-dicomweb=1.7+dfsg-6+b2
  options="--recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances"
  for name in $(apt-cache depends $options orthanc orthanc-dicomweb | grep '^lib' | grep -v '^libc6' | sort -u); do
    apt-get download "$name" || true # a virtual package has no file
  done
  for file in *.deb; do dpkg -x "$file" "$place/root"; done
) > "$place/log" 2>&1
"$place/python/bin/python" - "$place" <<'PYTHON' &
import json
import os
import socket
import sys
from pathlib import Path

place = Path(sys.argv[1])
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
(place / "port").write_text(str(port))
settings = {
    "StorageDirectory": str(place / "store"),
    "IndexDirectory": str(place / "store"),
    "HttpPort": port,
    "DicomServerEnabled": False,
    "RemoteAccessAllowed": False,
    "Plugins": [str(place / "root/usr/share/orthanc/plugins/libOrthancDicomWeb.so")],
    "DicomWeb": {"Enable": True},
}
(place / "orthanc.json").write_text(json.dumps(settings))
libraries = ":".join(str(place / "root" / part) for part in ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"))
log = os.open(place / "orthanc.log", os.O_WRONLY | os.O_CREAT)
os.dup2(log, 1)
os.dup2(log, 2)
program = str(place / "root/usr/sbin/Orthanc")
os.execve(program, [program, str(place / "orthanc.json")], os.environ | {"LD_LIBRARY_PATH": libraries})
PYTHON
archive=$!
"$place/python/bin/python" - "$place" <<'PYTHON'
import io
import json
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

place = Path(sys.argv[1])
for _ in range(300):
    try:
        root = f"http://127.0.0.1:{(place / 'port').read_text()}"
        about = json.load(urlopen(f"{root}/system"))
        plugin = json.load(urlopen(f"{root}/plugins/dicom-web"))
        break
    except (URLError, OSError):
        time.sleep(0.2)
else:
    sys.exit(f"Orthanc did not start: {(place / 'orthanc.log').read_text()[-600:]}")
study = generate_uid()
for patient in ("ONE", "TWO"):
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SOPClassUID = film.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    film.StudyInstanceUID, film.SeriesInstanceUID = study, generate_uid()
    film.PatientID, film.PatientName, film.Modality, film.StudyDate = patient, patient, "DX", "20260101"
    film.Rows = film.Columns = 2
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation, film.SamplesPerPixel = 8, 8, 7, 0, 1
    film.PhotometricInterpretation, film.PixelData = "MONOCHROME2", bytes(4)
    file = io.BytesIO()
    film.save_as(file, enforce_file_format=True)
    urlopen(Request(f"{root}/instances", data=file.getvalue(), method="POST")).read()


def rows(query: str) -> list:
    request = Request(f"{root}/dicom-web/studies{query}", headers={"Accept": "application/dicom+json"})
    return json.load(urlopen(request))


whole, dated, by_modality = rows(""), rows("?StudyDate=20260101-"), rows("?ModalitiesInStudy=DX")
modalities = " ".join(row["00080061"]["Value"][0] for row in whole)
print(f"Orthanc {about['Version']}, DICOMweb {plugin['Version']}: rows without a filter {len(whole)}, StudyDate {len(dated)},")
print(f"ModalitiesInStudy {len(by_modality)}; modalities of all: {modalities}")
sys.exit((len(whole), len(dated), len(by_modality), modalities) != (2, 2, 1, "DX DX"))
PYTHON
