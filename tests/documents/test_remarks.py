"""No document repeats the name of a file: it may be a patient's."""

from __future__ import annotations

from ammrg.documents.remarks import left_out, remarks
from ammrg.inference.description import Description
from ammrg.studies.records import SetAside


def test_other_films_are_not_called_by_their_files(description: Description) -> None:
    read = description.views[0]._replace(path="in/MUELLER_HANS.dcm")
    aside = (
        SetAside("in/MUELLER_2.dcm", "the same image as in/MUELLER_HANS.dcm"),
        SetAside("in/x.dcm", "Modality is CT."),
    )
    told = description._replace(views=(read, *description.views[1:]), set_aside=aside)
    sentence = left_out(told) or ""
    assert sentence.endswith(" films: the same image as another film; Modality is CT.")
    assert "MUELLER" not in " ".join(remarks(told))
