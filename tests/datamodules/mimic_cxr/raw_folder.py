"""Changes to a raw folder of MIMIC-CXR that was written from the phantom."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import zipfile

from PIL import Image

TABLE = "mimic-cxr-2.0.0-{}.csv.gz"
LUNGS = "The lungs are clear."
SUBJECT, STUDY, DICOM = "19999999", "59999999", "-".join(["0123abcd"] * 5)


def text_of(raw, kind):
    return gzip.decompress((raw / TABLE.format(kind)).read_bytes()).decode()


def write_table(raw, kind, text):
    (raw / TABLE.format(kind)).write_bytes(gzip.compress(text.encode()))


def add_row(raw, kind, **cells):
    """Add a row; cells that are not given are copied from the last row."""
    rows = list(csv.DictReader(io.StringIO(text_of(raw, kind))))
    line = ",".join(cells.get(name, value) for name, value in rows[-1].items())
    write_table(raw, kind, f"{text_of(raw, kind)}{line}\n")


def add_study(raw, report, study_id=STUDY, subject_id=SUBJECT, split="train"):
    """Add a study with one film that only the split table lists."""
    patient = raw / "files" / f"p{subject_id[:2]}" / f"p{subject_id}"
    (patient / f"s{study_id}").mkdir(parents=True)
    Image.new("L", (40, 40), 90).save(patient / f"s{study_id}" / f"{DICOM}.jpg")
    (patient / f"s{study_id}.txt").write_text(report)
    add_row(raw, "split", dicom_id=DICOM, study_id=study_id, subject_id=subject_id, split=split)


def reform(raw, form):
    """The same folder with plain tables, or with its reports elsewhere."""
    if form == "plain tables":
        for path in raw.glob("*.gz"):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
    elif form != "packed tables":
        archive = zipfile.ZipFile(raw / "mimic-cxr-reports.zip", "w") if form.startswith("archive") else None
        for path in sorted((raw / "files").rglob("*.txt")):
            name = path.relative_to(raw / "files")
            if archive is None:
                (raw / form / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, raw / form / name)
            else:
                archive.write(path, ("mimic-cxr-reports/files/" if "higher" in form else "files/") + str(name))
            path.unlink()
        if archive is not None:
            archive.close()


def annotate(raw, phantom, text=str, **fields):
    """Write R2Gen's annotation of the phantom: one example for each film, with ``text(study)`` as its report."""
    content = {"train": [], "val": [], "test": []}
    for study in phantom:
        for view in sorted((raw / "files").glob(f"*/*/s{study.study_id}/*.jpg")):
            example = {
                "id": view.stem,
                "study_id": int(study.study_id),
                "subject_id": int(study.subject_id),
                "report": text(study),
                "image_path": [str(view.relative_to(raw / "files"))],
                "split": study.split,
            }
            content[study.split].append({**example, **fields})
    (raw / "annotation.json").write_text(json.dumps(content))


def edit_annotation(raw, change):
    content = json.loads((raw / "annotation.json").read_text())
    change(content)
    (raw / "annotation.json").write_text(json.dumps(content))


def by_id(reading):
    return {study.study_id: study for of_split in reading.studies.values() for study in of_split}
