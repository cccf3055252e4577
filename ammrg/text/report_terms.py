"""Terms that a report affirms: targets of an auxiliary task that helps to train an image encoder.

Fourteen labels say little about a film. Its report names much more that can be seen (a tortuous aorta, a healed rib, a
port), and also where and how much. Words that mostly name normal structures ("heart", "mediastinum", "spine") are left
out: whether a report has them is a matter of style. Entries have the form that :mod:`ammrg.text.patterns` describes,
without capturing groups.
"""

from __future__ import annotations

import re

from ammrg.text.labeler import affirmed

TERMS: tuple[str, ...] = (
    # Heart, vessels, mediastinum.
    "cardiomegaly",
    "enlarg*",
    "borderline",
    "prominen*",
    "tortuous|tortuosity|ectatic|ectasia|uncoiled|unfolded",
    "atheroscler*|arterioscler*",
    "aneurysm*",
    "pericardi*|epicardi*",
    "pulmonary arter*",
    "congest*|vascular prominence|cephalization|engorge*",
    "bronchovascular|crowding|crowded",
    "shift*|deviat*",
    "azygos",
    # Lungs.
    "opaci*",
    "infiltrat*",
    "consolidat*",
    "pneumonia|pneumonitis",
    "air ?space disease",
    "atelecta*|collapse*|volume loss",
    "densit*",
    "nodul*",
    "mass(?:es)?",
    "lesions?",
    "cavit*",
    "cyst*|bulla*|bleb*",
    "granuloma*",
    "calcifi*",
    "scar*|cicatri*",
    "fibrosis|fibrotic|fibronodular",
    "emphysema*|copd|obstructive",
    "hyper ?inflat*|hyper ?expan*|hyper ?disten*|hyper ?lucen*|barrel",
    "hypo ?inflat*|low lung volumes?|low volumes?|poor inspiration|hypo ?aerat*|shallow",
    "interstiti*",
    "reticul*",
    "markings",
    "o?edema|failure",
    "bronchiect*|cystic fibrosis",
    "thicken*|cuffing",
    "lucen*",
    "nipple",
    # Pleura and diaphragm.
    "effusions?|pleural fluid",
    "pneumothora*|hydropneumothora*",
    "blunt*",
    "elevat*|eventrat*",  # of a diaphragm
    "flatten*",
    "fissure*",
    "hernia*",
    # Bones and soft tissue.
    "degenerat*",
    "spondyl*",
    "osteophyt*|spur*|bridging",
    "scolio*|curvature|dextro\\w*|levo\\w*",
    "kypho*",
    "osteop*|deminerali*",
    "fractur*",
    "compress*|wedg*",
    "deformit*",
    "sclero*",
    "arthri*|arthro*",
    "rib|ribs",
    "clavic*",
    "humer*|shoulders?|glenohumeral|acromi*",
    "vertebra*",
    "cervical",
    "disc|disk",
    "breast*|mastectomy",
    "pectus",
    "obes*|body habitus|soft tissue*",
    # Devices and surgery.
    "sternotomy|sternal wires?",
    "clips?|suture*|staples?",
    "cabg|bypass|graft*",
    "valve*|prosthe*",
    "pacemaker|pacer|leads?|defibrillator|icd",
    "catheter*|port|picc|line",
    "tubes?|tracheostomy|endotracheal|enteric|nasogastric",
    "stent*|shunt*",
    "hardware|fusion|rods?|screws?|plates?",
    "device*|stimulator|electrode*",
    "surg*|postoperative|resect*|pneumonectomy|lobectomy|cholecystectomy",
    "foreign",
    # Place.
    "left",
    "right",
    "bilateral*|both",
    "bas(?:e|es|al|ilar|ally)|bibas*",
    "apex|apical|apices|biapical",
    "upper",
    "lower",
    "mid|middle",
    "lingula*",
    "perihilar|central",
    "retrocardiac",
    "anterior*",
    "posterior*",
    "lob(?:e|es|ar|ectomy)",
    # Kind and degree.
    "minimal*|minor|tiny|slight*",
    "mild*",
    "moderate*",
    "severe*|marked*|significant",
    "small",
    "large",
    "multiple|numerous|several|multilevel",
    "focal",
    "diffuse*",
    "patchy",
    "streaky|linear|band ?like|plate ?like|subsegmental",
    "round*",
    "scatter*",
    "chronic*",
    "old|remote|heal*|prior|previous",
    "acute*",
    "increased|increase",
    "decreased|decrease|improv*",
    "irregular*",
    "obscur*|silhouett(?:ed|ing)",
    "overlying|overlap*|superimpos*",
    "technique|technical|rotat*|portable|supine|semi ?erect",
)
"""The terms, in the order of the auxiliary head's outputs."""

NUM_TERMS = len(TERMS)


def _alternatives(entry: str) -> str:
    return re.sub(r" (?=\?)| ", "[ -]", re.sub(r"(?<=[a-z)])\*(?=$|\|)", r"\\w*", entry))


# One pass over a text finds all terms: the number of the group that matched is the term's number.
_ANY = re.compile(r"\b(?:" + "|".join(f"({_alternatives(entry)})" for entry in TERMS) + r")(?!\w)")


def affirmed_terms(text: str) -> list[float]:
    """1 for each of :data:`TERMS` that a report affirms at least once, else 0.

    If two entries match at one place, the first in the table counts. Negation is the labeler's.
    """
    found = [0.0] * NUM_TERMS
    for match in affirmed(text, _ANY):
        found[(match.lastindex or 1) - 1] = 1.0
    return found
