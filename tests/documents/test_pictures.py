"""The picture of the maps, and the page as a PDF."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from pydicom.dataset import Dataset

from ammrg.documents.source_films import SourceFilms, source_films
from ammrg.documents.statement import STATEMENT
from ammrg.documents.writing import MAPS, PAGE, Documents, make_documents
from ammrg.findings import FINDINGS
from ammrg.imaging.map_picture import MARGIN, SIDE, drawn_findings, map_picture
from ammrg.imaging.text_width import DPI, wrapped
from ammrg.inference.description import Description
from tests.documents.test_source_films import retagged


def read(documents: Documents, name: str) -> Dataset:
    return pydicom.dcmread(io.BytesIO(documents.dicom[name]))


def test_the_maps_refer_to_the_films_that_decided(
    documents: Documents, description: Description, sources: SourceFilms
) -> None:
    image = read(documents, MAPS)
    shown = drawn_findings(description.page)
    deciding = {description.page.map_films[name] for name in shown}
    named = {item.ReferencedSOPInstanceUID for item in image.SourceImageSequence}
    assert named == {sources.read[place].SOPInstanceUID for place in deciding}
    assert image.StudyInstanceUID == sources.read[0].StudyInstanceUID
    assert image.ImageComments == STATEMENT
    page = description.page
    told = [STATEMENT, *page.notes, *page.warnings]
    assert np.array_equal(image.pixel_array, map_picture(page, told))
    assert image.pixel_array.shape[0] >= SIDE + 2 * MARGIN
    assert all(name in image.DerivationDescription for name in shown)


def test_the_picture_shows_film_and_map(documents: Documents, description: Description) -> None:
    pixels = read(documents, MAPS).pixel_array[MARGIN : MARGIN + SIDE].astype(int)
    coloured = np.ptp(pixels, axis=2) > 40
    assert 0.001 < coloured.mean() < 0.9
    assert pixels.std() > 20


@pytest.mark.parametrize("lines", [0, 4])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_all_text_is_within_the_picture(
    description: Description, count: int, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(
        FigureCanvasAgg, "draw", lambda self, draw=FigureCanvasAgg.draw: (figures.append(self.figure), draw(self))
    )
    name, heat = next(iter(description.page.maps.items()))
    names = [name, *(other for other in FINDINGS if other != name)][:count]
    warning = "WARNING: unlike the films this model was trained on: film 2 (3.2); findings may be meaningless here. $"
    pixels = map_picture(description.page._replace(maps=dict.fromkeys(names, heat)), [STATEMENT, *[warning] * lines])
    drawn = [(text.get_text(), text.get_window_extent()) for text in figures[0].texts]
    assert all(place.x0 >= 0 and place.x1 <= SIDE * count for _, place in drawn)
    notice, place = drawn[-1]
    assert " ".join(notice.split()) == " ".join([STATEMENT, *[warning] * lines])
    foot = len(pixels) - SIDE - MARGIN
    assert (foot == MARGIN) == (not lines)
    assert place.y0 >= 0
    assert place.y1 <= foot
    assert pixels[:, [0, -1]][-foot:].max() == 0


@pytest.mark.parametrize(("said", "image", "page"), [("NO", "NO", "NO"), ("YES", "YES", "YES"), (None, None, "YES")])
def test_burned_in_annotation_is_that_of_the_films(
    description: Description, films: list[bytes], said: str | None, image: str | None, page: str
) -> None:
    known = {} if said is None else {"BurnedInAnnotation": said}
    told = [retagged(film, remove=["BurnedInAnnotation"], **known) for film in films]
    made = make_documents(description, source_films(description, told), page=True)
    assert read(made, MAPS).get("BurnedInAnnotation") == image
    assert read(made, PAGE).BurnedInAnnotation == page


def test_the_page_is_a_pdf_of_one_page(documents: Documents, sources: SourceFilms) -> None:
    document = read(documents, PAGE)
    pdf = bytes(document.EncapsulatedDocument)[: document.EncapsulatedDocumentLength]
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") == 1
    assert b"ller" not in pdf  # the patient's name
    named = [item.ReferencedSOPInstanceUID for item in document.SourceInstanceSequence]
    assert named == [film.SOPInstanceUID for film in sources.read]


def test_documents_without_the_page(description: Description, sources: SourceFilms) -> None:
    made = make_documents(description, sources)
    assert PAGE not in made.dicom
    assert "presentedForm" not in made.fhir


@pytest.mark.parametrize("size", [5.5, 7.0, 9.0, 10.5])
def test_a_line_fits_in_the_pdf_too_where_letters_are_not_rounded(size: float) -> None:
    """The page's PDF takes the vector widths; a viewer cuts what runs over its edge."""
    text = "51001603, influence +0.00): There is patchy right basilar pneumonia, moderate cardiomegaly. " * 3
    lines = wrapped(text, 300, size)
    assert len(lines) > 2
    widths = [
        text_to_path.get_text_width_height_descent(line, FontProperties(size=size), False)[0] * DPI / 72
        for line in lines
    ]
    assert max(widths) <= 300 * 1.005
