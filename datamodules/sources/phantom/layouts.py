"""Writes phantom studies in the raw layouts of real data sets, to test their readers and for dry runs.

``write_iu_xray``: the projections/reports CSV pair with images, XML reports, a label table and an R2Gen annotation.
``write_mimic_cxr``: MIMIC-CXR-JPG's tree and tables beside MIMIC-CXR's report tree.
``write_chexpert_plus``: the 27-column table, the CheXbert JSON Lines and the PNG tree.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from PIL import Image

from ammrg.findings import FINDINGS
from ammrg.types import Study, View

LABEL_COLUMNS: tuple[str, ...] = tuple(sorted(FINDINGS))
"""MIMIC-CXR-JPG and CheXpert tables list the 14 findings alphabetically."""

METADATA_COLUMNS = (
    "dicom_id",
    "subject_id",
    "study_id",
    "PerformedProcedureStepDescription",
    "ViewPosition",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
    "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)

CHEXPERT_PLUS_COLUMNS = (
    "path_to_image",
    "path_to_dcm",
    "frontal_lateral",
    "ap_pa",
    "deid_patient_id",
    "patient_report_date_order",
    "report",
    "section_narrative",
    "section_clinical_history",
    "section_history",
    "section_comparison",
    "section_technique",
    "section_procedure_comments",
    "section_findings",
    "section_impression",
    "section_end_of_impression",
    "section_summary",
    "section_accession_number",
    "age",
    "sex",
    "race",
    "ethnicity",
    "interpreter_needed",
    "insurance_type",
    "recent_bmi",
    "deceased",
    "split",
)


def write_iu_xray(root: Path, studies: Iterable[Study]) -> None:
    """Write studies in the layout of IU X-Ray.

    The files are ``images/``, ``indiana_{projections,reports}.csv``, ``chexpert_labels.csv``,
    ``ecgen-radiology/<uid>.xml`` and R2Gen's ``annotation.json``. A study's uid is its study_id.
    """
    root = Path(root)
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "ecgen-radiology").mkdir(exist_ok=True)
    projections, reports, labels = [], [], []
    annotation: dict[str, list[dict[str, object]]] = {"train": [], "val": [], "test": []}
    for number, study in enumerate(studies, start=1):
        names = []
        for k, view in enumerate(study.views, start=1):
            names.append(f"{study.study_id}_IM-{number:04d}-{k}001.dcm.png")
            (root / "images" / names[-1]).write_bytes(_encoded(view))
            projections.append(
                {"uid": study.study_id, "filename": names[-1], "projection": view.projection.capitalize()}
            )
        terms = _problems(study)
        reports.append(
            {
                "uid": study.study_id,
                "MeSH": terms,
                "Problems": terms,
                "image": "Xray Chest PA and Lateral",
                "indication": study.indication,
                "comparison": "None.",
                "findings": study.findings,
                "impression": study.impression,
            }
        )
        labels.append({"uid": study.study_id, **_label_cells(study)})
        entry = {"id": f"CXR{study.study_id}_IM-{number:04d}", "report": study.findings, "image_path": names}
        annotation[study.split].append({**entry, "split": study.split})
        _write_iu_xml(root / "ecgen-radiology" / f"{study.study_id}.xml", study, terms, names)
    _write_csv(root / "indiana_projections.csv", ("uid", "filename", "projection"), projections)
    columns = ("uid", "MeSH", "Problems", "image", "indication", "comparison", "findings", "impression")
    _write_csv(root / "indiana_reports.csv", columns, reports)
    _write_csv(root / "chexpert_labels.csv", ("uid", *LABEL_COLUMNS), labels)
    (root / "annotation.json").write_text(json.dumps(annotation))


def write_mimic_cxr(root: Path, studies: Iterable[Study]) -> None:
    """Write studies in the layout of MIMIC-CXR-JPG, with MIMIC-CXR's reports.

    The files are JPEGs ``files/p1x/p<subject>/s<study>/<dicom_id>.jpg``, the split, metadata and CheXpert tables
    ``mimic-cxr-2.0.0-*.csv.gz``, and the reports ``files/p1x/p<subject>/s<study>.txt``.
    """
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    splits, metadata, labels = [], [], []
    for study in studies:
        patient = root / "files" / f"p{study.subject_id[:2]}" / f"p{study.subject_id}"
        folder = patient / f"s{study.study_id}"
        folder.mkdir(parents=True, exist_ok=True)
        (patient / f"s{study.study_id}.txt").write_text(mimic_report(study))
        ids = {"subject_id": study.subject_id, "study_id": study.study_id}
        for k, view in enumerate(study.views):
            dicom = _dicom_id(study.study_id, k)
            with Image.open(io.BytesIO(_encoded(view))) as film:
                width, height = film.size
                film.save(folder / f"{dicom}.jpg", quality=95)
            frontal = view.projection == "frontal"
            procedure = "CHEST (PA AND LAT)" if len(study.views) > 1 else "CHEST (PORTABLE AP)"
            splits.append({"dicom_id": dicom, **ids, "split": "validate" if study.split == "val" else study.split})
            metadata.append(
                {
                    "dicom_id": dicom,
                    **ids,
                    "PerformedProcedureStepDescription": procedure,
                    "ViewPosition": ("PA" if len(study.views) > 1 else "AP") if frontal else "LATERAL",
                    "Rows": height,
                    "Columns": width,
                    "StudyDate": 21800506,
                    "StudyTime": 213014.531,
                    "ProcedureCodeSequence_CodeMeaning": procedure,
                    "ViewCodeSequence_CodeMeaning": "postero-anterior" if frontal else "lateral",
                    "PatientOrientationCodeSequence_CodeMeaning": "Erect",
                }
            )
        labels.append({**ids, **_label_cells(study)})
    prefix = "mimic-cxr-2.0.0-"
    _write_csv(root / f"{prefix}split.csv.gz", ("dicom_id", "study_id", "subject_id", "split"), splits)
    _write_csv(root / f"{prefix}metadata.csv.gz", METADATA_COLUMNS, metadata)
    _write_csv(root / f"{prefix}chexpert.csv.gz", ("subject_id", "study_id", *LABEL_COLUMNS), labels)


def write_chexpert_plus(root: Path, studies: Iterable[Study]) -> None:
    """Write studies in the layout of CheXpert Plus.

    The files are ``df_chexpert_plus_240401.csv`` (27 columns, one row for each image),
    ``chexbert_labels/*_fixed.json`` (JSON Lines) and
    ``PNG/<train|valid>/patient<id>/study<k>/view<n>_<projection>.png``. The table says ``.jpg``, as in the original.
    CheXpert Plus has no test part, so val and test studies both become ``valid``.
    """
    root = Path(root)
    (root / "chexbert_labels").mkdir(parents=True, exist_ok=True)
    rows, lines = [], []
    seen: dict[str, int] = {}
    for study in studies:
        seen[study.subject_id] = order = seen.get(study.subject_id, 0) + 1
        split = "train" if study.split == "train" else "valid"
        patient = f"patient{study.subject_id}"
        for k, view in enumerate(study.views, start=1):
            stem = f"{split}/{patient}/study{order}/view{k}_{view.projection}"
            target = root / "PNG" / f"{stem}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_encoded(view))
            frontal = view.projection == "frontal"
            narrative = f"{study.indication}\n{study.findings}\n{study.impression}"
            filled = {
                "path_to_image": f"{stem}.jpg",
                "path_to_dcm": f"{stem}.dcm",
                "frontal_lateral": "Frontal" if frontal else "Lateral",
                "ap_pa": "AP" if frontal else "",
                "deid_patient_id": patient,
                "patient_report_date_order": order,
                "report": f"NARRATIVE:\n{narrative}\nEND OF IMPRESSION",
                "section_narrative": narrative,
                "section_clinical_history": study.indication,
                "section_findings": study.findings,
                "section_impression": study.impression,
                "age": 60,
                "sex": "Unknown",
                "split": split,
            }
            rows.append({column: filled.get(column, "") for column in CHEXPERT_PLUS_COLUMNS})
            values = {name: None if math.isnan(v) else v for name, v in zip(FINDINGS, study.labels, strict=True)}
            lines.append(json.dumps({"path_to_image": f"{stem}.jpg", **values}))
    _write_csv(root / "df_chexpert_plus_240401.csv", CHEXPERT_PLUS_COLUMNS, rows)
    for section in ("findings", "impression", "report"):
        (root / "chexbert_labels" / f"{section}_fixed.json").write_text("\n".join(lines) + "\n")


def mimic_report(study: Study) -> str:
    """A study's report as MIMIC-CXR prints it: a title, then indented sections in lines of at most 79 characters."""
    paragraphs = [" " * 33 + "FINAL REPORT", " EXAMINATION:  CHEST RADIOGRAPH"]
    sections = (("INDICATION", study.indication), ("FINDINGS", study.findings), ("IMPRESSION", study.impression))
    for heading, text in sections:
        wrapped = textwrap.wrap(f"{heading}:  {text}", width=78, break_on_hyphens=False)
        paragraphs.append("\n".join(f" {line}" for line in wrapped))
    return " \n".join(paragraph + "\n" for paragraph in paragraphs)


def _encoded(view: View) -> bytes:
    """The view's PNG bytes, read from its file if the view is one."""
    return view.image if isinstance(view.image, bytes) else view.image.read_bytes()


def _dicom_id(study_id: str, view: int) -> str:
    """An id of five groups of eight hex digits, like MIMIC-CXR's anonymised ids."""
    digits = hashlib.sha256(f"{study_id}/{view}".encode()).hexdigest()[:40]
    return "-".join(digits[k : k + 8] for k in range(0, 40, 8))


def _label_cells(study: Study) -> dict[str, str]:
    """Labels as table cells: 1.0, 0.0, -1.0, or empty where unmentioned."""
    named = dict(zip(FINDINGS, study.labels, strict=True))
    return {name: "" if math.isnan(named[name]) else f"{named[name]:.1f}" for name in LABEL_COLUMNS}


def _problems(study: Study) -> str:
    present = [name for name, value in zip(FINDINGS[:-1], study.labels[:-1], strict=True) if value == 1.0]
    return ";".join(present) or "normal"


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    def fill(file: IO[str]) -> None:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)

    if path.suffix == ".gz":
        with gzip.open(path, "wt", newline="", encoding="utf-8") as packed:
            fill(packed)
    else:
        with path.open("w", newline="", encoding="utf-8") as plain:
            fill(plain)


def _write_iu_xml(path: Path, study: Study, terms: str, names: Sequence[str]) -> None:
    """Write the report in the form of Open-I's XML files."""
    root = ElementTree.Element("eCitation")
    ElementTree.SubElement(root, "uId", id=f"CXR{study.study_id}")
    ElementTree.SubElement(root, "IUXRId", id=study.study_id)
    article = ElementTree.SubElement(ElementTree.SubElement(root, "MedlineCitation"), "Article", PubModel="Electronic")
    abstract = ElementTree.SubElement(article, "Abstract")
    texts = {
        "COMPARISON": "None.",
        "INDICATION": study.indication,
        "FINDINGS": study.findings,
        "IMPRESSION": study.impression,
    }
    for label, text in texts.items():
        ElementTree.SubElement(abstract, "AbstractText", Label=label).text = text
    mesh = ElementTree.SubElement(root, "MeSH")
    for term in terms.split(";"):
        ElementTree.SubElement(mesh, "major").text = term
    for k, name in enumerate(names, start=1):
        image = ElementTree.SubElement(root, "parentImage", id=f"CXR{name.removesuffix('.dcm.png')}")
        ElementTree.SubElement(image, "figureId").text = f"F{k}"
        ElementTree.SubElement(image, "caption").text = "Xray Chest PA and Lateral"
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
