"""Data sets by the names that people know, and what a model was trained on in words."""

from __future__ import annotations

from typing import NamedTuple


class Source(NamedTuple):
    """A data set, as a card names it."""

    name: str
    terms: str


SOURCES = {
    "phantom": Source("the phantom (drawn films, templated reports)", "none: no patient stands behind it"),
    "painted": Source("films with drawn signs (painted)", "those of the data set that was painted on"),
    "iu_xray": Source("IU X-Ray (Open-i, Indiana University)", "CC BY-NC-ND 4.0: not commercial, no derivatives"),
    "mimic_cxr": Source("MIMIC-CXR", "PhysioNet's credentialed health data license and data use agreement"),
    "chexpert_plus": Source("CheXpert Plus (Stanford)", "Stanford's research use agreement for it"),
    "r2gen": Source("an R2Gen annotation", "those of the data set it annotates"),
}


def source_of(dataset: str) -> Source:
    """A data set by its name in a card; one that this project does not know by that name alone."""
    return SOURCES.get(dataset, Source(dataset or "data that are not named", "not known to this project"))


def trained_on(dataset: str) -> str:
    """The line that stands on every output: on drawn films no model learns what films of patients show."""
    if dataset == "phantom":
        return "trained on drawn films: the phantom, and no film of a patient"
    return f"trained on {source_of(dataset).name}"
