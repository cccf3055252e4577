"""A real archive: Orthanc with its DICOMweb plugin, on this machine, in a temporary folder."""

from __future__ import annotations

import io
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest
import requests

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


class Orthanc:
    """A running archive."""

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"
        self.dicomweb = f"{self.root}/dicom-web"

    def put(self, *films: bytes) -> None:
        """Store files, as a modality would."""
        for film in films:
            assert requests.post(f"{self.root}/instances", data=film, timeout=60).ok

    def remove(self, *instances: str) -> None:
        """Remove instances, by their SOPInstanceUIDs, as its administrator would."""
        for uid in instances:
            found = requests.post(f"{self.root}/tools/lookup", data=uid, timeout=60).json()
            for each in found:
                assert requests.delete(f"{self.root}{each['Path']}", timeout=60).ok

    def count(self) -> int:
        """Number of all instances."""
        return int(requests.get(f"{self.root}/statistics", timeout=60).json()["CountInstances"])

    def documents(self) -> dict[str, list[pydicom.Dataset]]:
        """StudyInstanceUID -> all that is no film, with its content."""
        found: dict[str, list[pydicom.Dataset]] = {}
        for name in requests.get(f"{self.root}/instances", timeout=60).json():
            tags = requests.get(f"{self.root}/instances/{name}/simplified-tags", timeout=60).json()
            if tags["Modality"] not in ("DX", "CR"):
                answer = requests.get(f"{self.root}/instances/{name}/file", timeout=60)
                file = pydicom.dcmread(io.BytesIO(answer.content))
                found.setdefault(str(file.StudyInstanceUID), []).append(file)
        return found


@contextmanager
def running_orthanc(folder: Path) -> Iterator[Orthanc]:
    """Start an archive on a free port, and stop it by its process id. Requests of other machines are refused."""
    program = shutil.which("Orthanc")
    if program is None or not PLUGIN.is_file():
        pytest.skip("Orthanc with DICOMweb is not installed (Debian: apt install orthanc orthanc-dicomweb)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "StorageDirectory": str(folder / "store"),
        "IndexDirectory": str(folder / "store"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("w") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
        try:
            archive, until = Orthanc(port), time.monotonic() + 120
            while True:
                try:
                    archive.count()
                    break
                except requests.ConnectionError:
                    assert process.poll() is None, (folder / "orthanc.log").read_text()
                    assert time.monotonic() < until, "Orthanc does not answer"
                    time.sleep(0.1)
            yield archive
        finally:
            process.terminate()
            process.wait(60)
