"""The phrases of the rule-based labeler, as data: names of findings, and states of organs.

:mod:`ammrg.text.patterns` describes the form of the entries. The words that deny a finding or put it in doubt are in
:mod:`ammrg.text.cues`.
"""

from __future__ import annotations

from typing import NamedTuple

OTHER = "Other Abnormality"
"""An abnormality that is not one of the 14 findings. If it is present, "No Finding" is not."""


class Phrases(NamedTuple):
    """How a finding is named in reports."""

    finding: str
    mentions: tuple[str, ...]
    """Names of the abnormality itself: present unless negated."""
    structures: tuple[str, ...] = ()
    """Names of the organ. Its state in the report (normal, enlarged, borderline) decides the finding."""
    hints: tuple[str, ...] = ()
    """Signs that point to the finding without naming it: uncertain unless negated."""
    exclusions: tuple[str, ...] = ()
    """Wider phrases inside which a mention does not count."""


TABLE: tuple[Phrases, ...] = (
    Phrases(
        "Enlarged Cardiomediastinum",
        mentions=(
            "mediastinal (widening|enlargement|prominence)",
            "widening of (the )?(superior |upper )?mediastin*",
            "widened mediastin*",
        ),
        structures=(
            "cardio ?mediastinal (silhouette|contour|size|structure|shadow|border|outline)s?",
            "cardio ?mediastinum",
            "(heart|cardiac) and mediastin* (silhouette|contour|size|structure|shadow)?s?",
            "mediastinal( and hilar)? (silhouette|contour|size|structure|shadow|border|outline|configuration)s?",
            "mediastinum",
        ),
    ),
    Phrases(
        "Cardiomegaly",
        mentions=(
            "cardiomegaly",
            "(cardiac|heart|ventricular|atrial) enlargement",
            "enlargement of the (heart|cardiac*)",
        ),
        structures=(
            "(size|contour) of the heart",
            "heart size",
            "heart (silhouette|contour|shadow)s?",
            "heart",
            "cardiac (silhouette|contour|size|shadow|border|outline)s?",
            "cardiac and mediastinal (silhouette|contour|shadow)s?",
        ),
        exclusions=(
            "heart (failure|disease|valve*|rate)",
            "left heart border",
            "right heart border",
            "behind the heart",
        ),
    ),
    Phrases(
        "Lung Opacity",
        mentions=(
            "opaci*",
            "(air ?space|alveolar|parenchymal|lung) disease",
            "infiltrat*",
            "interstitial (marking|pattern|lung|disease|prominence|change|infiltrate)s?",
            "reticul*",
            "scar*",
            "(peri)?bronchial (wall )?thickening",
            "increased (lung |parenchymal )?densit*",
        ),
        exclusions=(
            "(obstructive|granulomatous) (lung|pulmonary|parenchymal)? ?disease",
            "clearing of( \\w+){0,3} opaci*",
        ),
    ),
    Phrases(
        "Lung Lesion",
        mentions=(
            "mass(es)?",
            "nodules?",
            "nodular( \\w+)? (opaci*|densit*|lesions?|focus|foci)",
            "mass ?like",
            "tumou?rs?",
            "neoplasm*",
            "malignan*",
            "metasta*",
            "cavitary( \\w+)? (lesion|mass)(es|s)?",
            "carcinoma",
            "(lung|pulmonary|suspicious) lesions?",
        ),
        exclusions=("calcified( \\w+){0,2} nodul*",),
    ),
    Phrases(
        "Edema",
        mentions=(
            "o?edema(tous)?",
            "(heart|cardiac) failure",
            "chf",
        ),
        hints=("(pulmonary |vascular )*congestion", "vascular prominence"),
    ),
    Phrases("Consolidation", mentions=("consolidat*",)),
    Phrases(
        "Pneumonia", mentions=("(broncho)?pneumonias?", "pneumonitis", "infections?", "infectious (process|etiology)*")
    ),
    Phrases(
        "Atelectasis",
        mentions=("atelecta*", "(lobar|lobe|lung|segmental) collapse", "collapse of( \\w+){1,4} (lung|lobe)"),
    ),
    Phrases("Pneumothorax", mentions=("(hydro|ha?emo)?pneumothora*",)),
    Phrases(
        "Pleural Effusion",
        mentions=(
            "(pleural )?effusions?",
            "(hydro|ha?emo)pneumothora*",
            "pleural fluid",
            "(costophrenic|cp) (angle|sulcus) blunting",
        ),
        exclusions=("(pericardial|joint|knee|elbow) effusions?",),
    ),
    Phrases(
        "Pleural Other",
        mentions=(
            "pleural (thickening|plaque|scarring|disease|calcification|based|reaction|abnormalit*)s?",
            # CheXpert counts fibrosis as this finding.
            "fibrothorax",
            "fibrosis",
        ),
    ),
    Phrases("Fracture", mentions=("fracture[sd]?",)),
    Phrases(
        "Support Devices",
        mentions=(
            "support (device|line|apparatus)*",
            "(medical|closure|cardiac|assist|electronic|pacing|implanted|support) devices?",
            "catheters?",
            "(picc|central|venous|subclavian|jugular|arterial)( venous)?( access)? lines?",
            "picc",
            "pace ?makers?",
            "pacer",
            "pacing (wires?|leads?)",
            "icd",
            "aicd",
            "defibrillator",
            "(endotracheal|tracheostomy|nasogastric|orogastric|enteric|feeding|chest|pleural|drainage|ng|et) tubes?",
            "tubes?",
            "tracheostomy",
            "(power|infus\\w*|chemo)?port( ?a ?cath)?",
            "mediport",
            "drains?",
            "(valve|valvular) (replacement|prosthes*|artifact)",
            "(prosthetic|artificial|mechanical|bioprosthetic)( \\w+)? valves?",
            "(sternal|sternotomy|cerclage) (wires?|sutures?)",
            "wires",
            "(bypass|cabg|graft|nipple) markers?",
            "stimulator",
            "balloon pump",
            "screws?",
            "(fixation|metallic|sternal) plates?",
            "arthroplasty",
            "hardware",
            "intubated",
        ),
    ),
    Phrases(
        OTHER,
        mentions=(
            "granulom*",
            "degenerat*",
            "(\\w+)?scoliosis",
            "kyphosis",
            "osteoarthriti*",
            "emphysem*",
            "bull(a|ae|ous)",
            "hyper ?(inflation|expansion)",
            "hernia*",
            "calcif*",
            "atherosclero*",
            "tortuous",
            "ecta(tic|sia)",
            "aneurysm*",
            "deformity",
            "wedging",
            "eventration",
            "elevat(ion|ed)( of)?( the)?( \\w+)? (hemi)?diaphragm",
            "flatten*",
            "blunt*",
            "lymphadenopathy",
            "density",
            "volume loss",
            "bullet*",
            "pectus",
            "azygos fissure",
            "prominen\\w*( \\w+){0,2} (hil*|pulmonary arter*|fat)",
            "(bi)?hilar (prominence|enlargement)",
            "prominence of( \\w+){1,3} (hil*|arter*|apex)",
        ),
        exclusions=("bone density",),
    ),
)

STATES_NORMAL: tuple[str, ...] = (
    "normal",
    "unremarkable",
    "(within|limits)( the| of)?( \\w+)? (limits|size|normal)",
    "(not|nor) (\\w+ )?(enlarged|widened|increased|prominent|dilated)",
    "non ?enlarged",
    "no (\\w+ )?(enlargement|widening|abnormalit*)",
    "intact",
)
"""States of an organ that mean it is normal."""

STATES_ABNORMAL: tuple[str, ...] = (
    "enlarge*",
    "prominen*",
    "widen*",
    "increased?",
    "large",
    "(abnormally )?wide",
    "dilat*",
    "abnormal",
    "accentuated",
    "borderline",
    "(high|upper)( limits?)?( of)?( the)? normal",
    "upper limits?",
    "top limits?",
)
"""States of an organ that mean it is enlarged. As in CheXpert's labels, borderline and upper-limit sizes count too."""

STATES_UNCERTAIN: tuple[str, ...] = ("stable", "unchanged", "not (significantly )?changed", "similar")
"""States of an organ that only mean "as before"."""

MISREADINGS: tuple[tuple[str, str], ...] = (
    ("Enlarged Cardiomediastinum", "heart and mediastinum (of normal size|within normal)"),
    ("Enlarged Cardiomediastinum", "heart and mediastinal contours are (stable|unchanged)"),
    ("Enlarged Cardiomediastinum", "contour (deformit|irregularit|abnormalit)*"),
    ("Enlarged Cardiomediastinum", "(ventricular|tissue|stomach) contours?"),
    # Any mention of the organ or of a contour, in a sentence without a word that means normal or unchanged.
    (
        "Enlarged Cardiomediastinum",
        r"^(?!.*\b(normal|unremarkable|stable|unchanged|within|no|not|similar|without|free|intact|clear)\b)"
        r".*\b(mediastinum|contours?|cardiomediastinal)",
    ),
    ("Enlarged Cardiomediastinum", "heart size mediastinal"),
    ("Cardiomegaly", "the heart size and pulmonary vascularity appears?"),
    ("Cardiomegaly", "heart size and mediastinal contours appear"),
    ("Cardiomegaly", "the heart and lungs have"),
    ("Cardiomegaly", "and mediastinal contours are not enlarged"),
    ("Cardiomegaly", "technical factors,? heart"),
    ("Lung Opacity", "no( focal)? air space opacities"),
    ("Consolidation", "no focal airspace consolidations"),
    ("Pneumothorax", "no pleural effusions or pneumothorax"),
    ("Pleural Effusion", "to suggest (large )?pleural effusion"),
    ("Fracture", "(no|no evidence of)( \\w+,?){0,4} rib fractures"),
    ("Support Devices", "(end)?plate(like)?s?"),
    ("Support Devices", "(lung|septal|b) lines"),
)
"""(finding, wording) that the CheXpert labeler is known to misread as present: the wording denies the finding, or is
about something else. Searched in each sentence, and only on request, to reproduce labels made by CheXpert."""
