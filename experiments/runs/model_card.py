"""The model card of an exported run: what the model is, its scores, its limits and its origin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ammrg.data_sets import Source, source_of, trained_on
from ammrg.evaluation.figures import formatted
from ammrg.findings import FINDINGS
from ammrg.inference.report_generator import ReportGenerator
from ammrg.metrics.classification import MIN_POSITIVES
from ammrg.networks.film_distance import TooFewFilms
from ammrg.operating_points import NAMED, SETTINGS, FindingCurve, OperatingCurve, in_words

METRICS = {
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
    "clinical_macro_f1_14_neg": "clinical macro F1 (14)",
    "clinical_micro_f1_13_neg": "clinical micro F1 (13)",
}
SHOWN = (0.0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0)
"""Operating points of the card's table."""
RANKING = {"auroc_macro": "macro AUROC", "ap_macro": "macro AP", "f1_macro": "macro F1", "ece": "calibration error"}
LIMITS = """\
- It writes fluent text even when it is wrong. Compare the guards: a model that ignores the film scores the same with
  shuffled films.
- The labeler behind the clinical scores makes errors, and makes the same ones on generated and reference text.
- Maps show where the classifier found evidence, not why; associations show what a memory returned, not that the text
  follows from it.
- Films are resized to a square; their aspect ratio is lost. It can only read the kinds of films it was trained on.
{distance}
- It was measured on the test part of one data set, as written above, and not on other hospitals, devices or patients.
- The texts are exactly the measured ones only in the same precision; other hardware may round differently."""


def model_card(
    model: ReportGenerator,
    scores: Mapping[str, Any],
    stage1: Mapping[str, Any],
    provenance: Mapping[str, Any],
    *,
    restricted: bool,
    bare: bool,
) -> str:
    """The text of an export's README.md. All scores come from the run's files.

    Args:
        model: the exported model.
        scores: the content of ``scores.json``.
        stage1: the content of ``stage1/scores.json``.
        provenance: as in ``config.json``.
        restricted: whether the training data are restricted.
        bare: whether ids and texts are left out of the memories.
    """
    source = source_of(provenance["dataset"])
    sections = {
        "": _head(source.name, trained_on(provenance["dataset"])),
        "Use": _use(),
        "Measured": _measured(scores, provenance),
        "Findings, without the language model": _findings(stage1),
        "More sensitive, or more specific": dial_section(model.curve),
        "Limits": LIMITS.format(distance=_distance(model)),
        "Data and their terms": _data(source, restricted, bare),
        "Fingerprints and versions": _fingerprints(model, provenance),
    }
    text = "\n\n".join(f"## {title}\n\n{body}" if title else body for title, body in sections.items())
    return f"---\n{_metadata(provenance)}\n---\n\n{text}\n"


def _metadata(provenance: Mapping[str, Any]) -> str:
    from huggingface_hub import ModelCardData

    named = provenance["language_model"]
    data = ModelCardData(
        language="en",
        license="other",
        license_name="research-use-only",
        library_name="am-mrg",
        pipeline_tag="image-to-text",
        base_model=None if named["in_folder"] else named["name"],
        tags=["chest-x-ray", "radiology-report-generation", "associative-memory", "research-use-only"],
    )
    return str(data.to_yaml()).strip()


def _head(data: str, trained: str) -> str:
    return f"""\
# Chest X-ray report generator (AM-MRG), trained on {data}

> **Research use only.** Not a medical device. No report may guide the care of a person. It was {trained}.

From one or more films of a study it writes the findings section of a report. It also gives the probabilities of 14
findings, maps of where it saw them, and the training regions and reports that its two associative memories retrieved.

**Intended use:** research on report generation and on what such models retrieve from their memories, by people
who know its limits.
**Not intended:** diagnosis, triage, or any text that reaches a patient or a medical record."""


def _use() -> str:
    return """\
```python
from ammrg import ReportGenerator

generator = ReportGenerator.from_pretrained("this/folder")
description = generator.describe(["frontal.png", "lateral.png"], lateral=[2])
print(description.report, description.findings, description.regions, description.reports)
```

`ammrg describe frontal.png --model this/folder` prints the report and draws the maps."""


def _measured(scores: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    meta, scored = scores["meta"], provenance["scored"]
    protocol = next(iter(meta["protocols"]))
    rows = [("**this model**", scores[protocol])]
    for group in ("baselines", "guards"):
        rows += [(f"{group[:-1]}: {_words(name)}", values[protocol]) for name, values in scores[group].items()]
    table = _table(
        ["reports", *METRICS.values()],
        [[name, *(formatted(values.get(metric)) for metric in METRICS)] for name, values in rows],
    )
    verdicts = "\n".join(f"- {sentence}" for sentence in scores["sentences"])
    return f"""\
{scored["studies"]} {scored["split"]} studies of {meta["patients"]} patients, protocol `{protocol}`; labeler: \
{meta["labeler"]}; uncertain findings count as negative.
Brackets hold {meta["bootstrap"]["level"]:g}% intervals over {meta["bootstrap"]["resamples"]:,} resamples of patients. \
A baseline is a constant report
or a copied training report; a guard is this model with one thing taken away.

{table}

{verdicts}"""


def _findings(stage1: Mapping[str, Any]) -> str:
    split, scores = next(((name, stage1[name]) for name in ("test", "val") if name in stage1), (None, None))
    if scores is None:
        return "Not measured."
    summary = [[title, formatted(scores.get(key))] for key, title in RANKING.items()]
    if "pointing_game" in scores:
        summary.append([f"pointing game ({scores['cam']} maps)", formatted(scores["pointing_game"])])
        summary.append(["pointing game, the finding's mean map instead", formatted(scores["pointing_game_mean_map"])])
    by_finding = [
        [
            name,
            formatted(scores["positives"].get(name)),
            *(formatted(scores[key].get(name)) for key in ("auroc", "ap", "f1")),
            formatted(scores["thresholds"][name]["value"]),
        ]
        for name in FINDINGS
    ]
    return f"""\
Measured on {scores["studies"]} {split} studies. By chance, AUROC is 0.5 and AP is the share of positives.

{_table(["measure", "value"], summary)}

{_table(["finding", "positive", "AUROC", "AP", "F1", "threshold"], by_finding)}"""


def dial_section(curve: OperatingCurve | None) -> str:
    """The section of the operating point: how often findings are called at each setting, and how well."""
    if curve is None:
        return "It was exported without an operating curve, and can only be read as it was trained."
    calls = {x: f"{curve.calls[SETTINGS.index(x)]:.2f}" for x in SHOWN}
    if curve.recall is None:
        return f"""\
`describe(..., operating_point=...)` calls findings sooner (0 is the most sensitive reading) or later (1 is the most
specific). The abnormal findings have fewer than {MIN_POSITIVES} positives among the {curve.studies} validation
studies, so recall and precision are not known; the setting says only how often findings are called:

{_table(["operating point", "findings a study"], [[in_words(x), each] for x, each in calls.items()])}"""
    rows = [[in_words(x), *(f"{share:.3f}" for share in curve.together(x) or ()), each] for x, each in calls.items()]
    few = [name for name in FINDINGS if name != "No Finding" and name not in curve.measured]
    unmeasured = (
        f"{', '.join(few)}: fewer than {MIN_POSITIVES} positive validation studies. They are called twice as often as "
        "balanced at 0.25, and above 0.5 as often as balanced until all their calls are given up."
        if few
        else f"All 13 abnormal findings have at least {MIN_POSITIVES} positive validation studies."
    )
    by_finding = [
        [name, str(found.positives), *_ranges(found)] for name in curve.measured if (found := curve.findings[name])
    ]
    header = ["finding", "positive", *(f"recall / precision at {x:g}" for x in NAMED.values())]
    each_alone = f"\n\n{_table(header, by_finding)}" if by_finding else ""
    return f"""\
`describe(..., operating_point=...)` calls findings sooner (0 is the most sensitive reading) or later (1 is the most
specific). Stage 1 on {curve.studies} validation studies, all abnormal findings counted together. The thresholds were
chosen on the same studies, so expect less on new ones:

{_table(["operating point", "recall", "precision", "findings a study"], rows)}

{unmeasured}{each_alone}"""


def _ranges(found: FindingCurve) -> list[str]:
    places = [SETTINGS.index(x) for x in NAMED.values()]
    return [f"{found.recall[at]:.3f} / {found.precision[at]:.3f}" for at in places if found.recall and found.precision]


def _distance(model: ReportGenerator) -> str:
    if model.distance is None:
        return (
            "- It cannot tell how far a film is from those: its stage 1 is of an earlier version, or had too few films."
        )
    if isinstance(model.distance, TooFewFilms):
        return "- It cannot tell how far a film is from those: its stage 1 had too few films."
    films = model.distance.validation_films
    return f"""\
- `describe` measures how far a film is from those, and warns above 1; 99% of the {films} validation films are below. It
  misses some odd films: without a warning, a film may still be no chest film."""


def _data(source: Source, restricted: bool, bare: bool) -> str:
    sentences = [f"Trained on {source.name}. Terms: {source.terms}."]
    if restricted:
        sentences.append(
            "**These data are restricted.** Weights, memories and texts of this model derive from them: keep this "
            "folder where the data may be kept, and pass it on under their terms only."
        )
        sentences.append(
            "Ids and texts are left out of the memories; their patterns are numbers computed from films and reports. "
            "Retrieved regions and reports are shown without text and owner, and a training study may now retrieve "
            "its own patterns."
            if bare
            else "**The memories hold study ids, patient ids and report texts.**"
        )
    return "\n\n".join(sentences)


def _fingerprints(model: ReportGenerator, provenance: Mapping[str, Any]) -> str:
    network, named, split = model.network, provenance["language_model"], provenance["split"]
    sizes = ", ".join(f"{count} {name}" for name, count in split.items() if name != "fingerprint")
    rows = [
        ["prepared data", f"`{provenance['data']}`"],
        ["split the memories were checked against", f"`{split['fingerprint']}` ({sizes} studies)"],
        ["stage-1 network", f"`{provenance['stage1']}`"],
        ["stage-2 checkpoint", f"`{provenance['checkpoint']}`"],
        ["training films were read by", "networks of other folds" if provenance["cross_fitted"] else "this network"],
        *(
            [f"{name} memory", f"`{bank.fingerprint}` ({len(bank):,} patterns, {bank.meta.selection})"]
            for name, bank in network.banks.items()
        ),
        ["language model", f"{named['name']}, {named['quantization']}, `{named['fingerprint']}`"],
        [
            "films",
            f"{model.processor.image_size} x {model.processor.image_size} pixels, views: {model.processor.views}",
        ],
        ["decoding", _named({"do_sample": False, "num_beams": 1, **network.decoding})],
        ["precision", str(provenance["precision"])],
        ["trained with", _named(provenance["trained_with"])],
        ["exported with", _named(provenance["versions"])],
    ]
    return _table(["part", "value"], rows)


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(values.items())) or "not recorded"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
