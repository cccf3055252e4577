"""The warning of a study that has no frontal film."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ammrg.studies.records import StudyView


def no_frontal_film(read: Sequence[StudyView], trained_on_frontal: bool) -> Iterator[str]:
    """Warn, in a sentence, where none of the films that the network read is frontal.

    The report looks like that of a whole study, so nothing else would tell.

    Args:
        read: the films that the network read, one or more.
        trained_on_frontal: whether the network reads other films only where there is no frontal one.
    """
    projections = {view.projection for view in read}
    if "frontal" in projections:
        return
    kind = "lateral" if projections == {"lateral"} else "other"
    these = f"a {kind} film" if len(read) == 1 and kind == "lateral" else f"{kind} films"
    but = ", but this model was trained on frontal ones" if trained_on_frontal else ""
    yield (
        f"WARNING: no frontal film: the report is of {these} alone{but}; findings, sides and the heart's size may be "
        "meaningless here."
    )
