"""Data sets under their public names, and the sentence that says which one a model was trained on."""

from __future__ import annotations

from typing import NamedTuple


class Source(NamedTuple):
    """A data set as a model card names it."""

    name: str
    terms: str
    """Its licence or terms of use."""


SOURCES = {
    "phantom": Source("the phantom (drawn films, templated reports)", "none: it shows no patient"),
    "painted": Source("films with drawn signs (painted)", "those of the data set that was painted on"),
    "iu_xray": Source("IU X-Ray (Open-i, Indiana University)", "CC BY-NC-ND 4.0: not commercial, no derivatives"),
    "mimic_cxr": Source("MIMIC-CXR", "PhysioNet's credentialed health data license and data use agreement"),
    "chexpert_plus": Source("CheXpert Plus (Stanford)", "Stanford's research use agreement for it"),
    "csv": Source("the films and reports of a table (csv)", "those of its owner"),
    "r2gen": Source("the films and reports of an R2Gen annotation", "those of the data set it annotates"),
}


def source_of(dataset: str) -> Source:
    """Return the source with this name; for an unknown name, one without known terms."""
    return SOURCES.get(dataset, Source(dataset or "data that are not named", "not known to this project"))


def trained_on(dataset: str) -> str:
    """Say in a few words which data a model was trained on.

    Every output shows this, because a model trained on drawn films has not learnt what films of patients look like.
    """
    if dataset == "phantom":
        return "trained on drawn films: the phantom, and no film of a patient"
    return f"trained on {source_of(dataset).name}"
