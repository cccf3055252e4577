"""The reports of a run: their file, scores, baselines, guards and page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
import torch

from ammrg.findings import FINDINGS
from ammrg.networks.language_model import LanguageModel
from ammrg.networks.told import TOLD
from ammrg.text.labeler import label
from ammrg.text.places import finding_places, own_place
from datamodules.sources.phantom import generate
from experiments.__main__ import main
from experiments.runs.run import Run as OpenedRun
from experiments.runs.study_features import study_features
from tests.pipeline.nano_run import CONFIGS, Run


def test_reports_say_what_the_contract_says(run: Run) -> None:
    lines = run.lines()
    assert len({line["study_id"] for line in lines}) == len(lines) == 16
    for line in lines:
        assert set(line["findings"]) == set(FINDINGS)
        assert line["reference"]
        assert line["reports"]
        assert all(0 <= pattern["weight"] <= 1 for pattern in [*line["regions"], *line["reports"]])


def test_reports_name_the_boxes_of_their_films(run: Run) -> None:
    """As drawn, study by study; a pass with other films has none."""
    studies = generate({"test": 16}, size=256)
    drawn = {each.study_id: [each.boxes, each.views] for each in studies}
    for line in run.lines():
        boxes, views = drawn[str(line["study_id"])]
        expected = [
            (FINDINGS[box.finding], views[box.view].projection, [box.x0, box.y0, box.x1, box.y1]) for box in boxes
        ]
        found = [(box["finding"], box["projection"], box["box"]) for box in line.get("boxes", [])]
        for one, other in zip(sorted(found), sorted(expected), strict=True):
            assert one[:2] == other[:2]
            assert one[2] == pytest.approx(other[2], abs=0.02)
    assert any("boxes" in line for line in run.lines("guards/memory_off.jsonl"))
    assert not any("boxes" in line for line in run.lines("guards/images_shuffled.jsonl"))
    scores = json.loads((run.folder / "scores.json").read_text())
    assert scores["boxes"]["findings"] > 0
    for values in (scores, scores["baselines"]["nearest_image"], scores["guards"]["images_shuffled"]):
        assert 0 <= values["full"]["box_side_f1"]["value"] <= 1


def test_what_was_recalled_is_scored(run: Run) -> None:
    found = json.loads((run.folder / "scores.json").read_text())["recall"]
    recalled = run.lines("recalled/own.jsonl")
    firsts = [line["reports"][0]["pattern"] for line in recalled]
    assert (found["reports"]["queries"], found["reports"]["distinct"]) == (16, len(set(firsts)))
    assert 0 <= found["reports"]["precision_at_5"]["value"] <= 1
    pairs = [listed for line in recalled for listed in line["regions"].values() if listed]
    assert found["regions"]["queries"] == len(pairs)
    assert found["regions"]["distinct"] == len({listed[0]["pattern"] for listed in pairs})
    unjudged = found["regions"]["not_affirmed"] + found["regions"]["no_place"]
    assert found["regions"]["judged"] + unjudged == sum(len(line["regions"]) for line in recalled)


def test_the_influence_of_what_was_recalled_is_told(run: Run) -> None:
    limits = json.loads((run.folder / "reports.meta.json").read_text())["influence_threshold"]
    assert limits["studies"] == 16
    assert min(limits["regions"], limits["reports"]) > 0
    assert 0 <= limits["chance"] <= 1
    reasons = []
    own, written = run.lines("recalled/own.jsonl"), run.lines()
    for recalled, line in zip(own, written, strict=True):
        measured = [each["influence"] for listed in recalled["regions"].values() for each in listed[:1]]
        assert [each["influence"] is None for each in recalled["reports"]] == [False] * 3 + [True] * 2
        assert [each["influence"] for each in recalled["reports"]] == [each["influence"] for each in line["reports"]]
        mattered = any(value > limits["regions"] for value in measured)
        reasons.append(mattered or any(each["influence"] > limits["reports"] for each in recalled["reports"][:3]))
    found = json.loads((run.folder / "scores.json").read_text())["recall"]["mattered"]
    assert (found["studies"], found["value"]) == (sum(reasons), sum(reasons) / 16)
    assert found["chance"] == limits["chance"]
    for name in ("images_shuffled", "memory_off"):  # guards do not measure it
        for line in run.lines(f"guards/{name}.jsonl"):
            assert all(each["influence"] is None for each in [*line["regions"], *line["reports"]])


def test_scores_stand_beside_baselines_and_guards(run: Run) -> None:
    scores = json.loads((run.folder / "scores.json").read_text())
    assert {"random_training", "nearest_image", "nearest_findings", "stage1_template"} <= set(scores["baselines"])
    assert {"images_shuffled", "films_mirrored", "memory_shuffled", "memory_off"} <= set(scores["guards"])
    assert scores["recall"]["exchange_cost"] is not None
    mirrored = scores["guards"]["films_mirrored"]["mirrored_follows"]
    assert mirrored["n"] == sum(mirrored[name] for name in ("flipped", "kept", "both", "unsided", "dropped"))
    bleu = scores["full"]["bleu_4"]
    assert bleu["low"] <= bleu["value"] <= bleu["high"]
    stage1 = json.loads((run.stage1 / "scores.json").read_text())
    assert {"val", "test"} <= set(stage1)
    assert 0 <= stage1["test"]["pointing_game"]["value"] <= 1


def test_reports_are_compared_with_the_networks_own_table(run: Run) -> None:
    meta = json.loads((run.folder / "reports.meta.json").read_text())
    assert list(meta["thresholds"]) == sorted(FINDINGS)
    scores = json.loads((run.folder / "scores.json").read_text())
    found = {
        name: sum(line["findings"][name] > meta["thresholds"][name] for line in run.lines())  # type: ignore[index]
        for name in FINDINGS[:-1]
    }
    assert {name: row["found"] for name, row in scores["faithfulness"]["ours"]["findings"].items()} == found
    assert sum(found.values()) > 0
    assert "said_f1" in scores["full"]
    assert not scores["faithfulness"]["guards/memory_off"]["absent"]
    assert scores["faithfulness"]["baselines/nearest_image"]["absent"]


def test_the_template_says_what_stage_1_finds(run: Run) -> None:
    opened = OpenedRun(run.folder)
    classifier, data = opened.model().network.classifier, opened.data
    thresholds = dict(zip(FINDINGS, classifier.thresholds.tolist(), strict=True))
    rows = run.lines()
    found = [{name for name, value in row["findings"].items() if value > thresholds[name]} for row in rows]
    assert any(found)

    def positives(text: str) -> set[str]:
        return {name for name, value in zip(FINDINGS, label(text), strict=True) if value == 1.0}

    written = run.lines("baselines/stage1_template.jsonl")
    for row, findings in zip(written, found, strict=True):
        assert positives(row["generated"]) - {"No Finding"} == findings - {"No Finding"}
    loader = data.evaluation_loader("test", alone=True)
    seen = study_features(classifier, loader, torch.device("cpu"), "test studies")
    assert seen.study_ids == [row["study_id"] for row in rows]
    assert any(place.side for places in seen.places for place in places.values())
    for row, places in zip(written, seen.places, strict=True):
        told = finding_places(row["generated"])
        assert told == {name: own_place(name, places[name]) for name in told}


def test_guards_by_one_command(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guards", str(run.folder), "--only", "images_noise"]) == 0
    assert "images noise" in capsys.readouterr().out
    scores = json.loads((run.folder / "scores.json").read_text())
    assert "cider" in scores["guards"]["images_noise"]["full"]
    own, noise = (run.lines(name) for name in ("reports.jsonl", "guards/images_noise.jsonl"))
    assert [line["study_id"] for line in own] == [line["study_id"] for line in noise]
    assert [line["findings"] for line in own] != [line["findings"] for line in noise]


def test_the_page_of_a_run_shows_films_and_maps(run: Run) -> None:
    page = (run.folder / "report.html").read_text()
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert len(data["films"]) == len(data["studies"]) == 16
    for kept in data["films"].values():
        assert kept["image"].startswith("data:image/jpeg;base64,")
        assert kept["maps"]
        for found in kept["maps"].values():
            assert max(map(max, found["grid"])) in (0, 100)
            assert 0 <= found["probability"] <= 1
    assert all(study["retrieved"] for study in data["studies"])


@pytest.mark.slow
def test_two_processes_test_stage_2_as_one_does(run: Run) -> None:
    """16 studies in batches of 5, so that one process has 10 and the other 6; the figures agree to the last digit."""
    measured = []
    for devices in (1, 2):
        folder = run.root / f"tested_{devices}"
        words = ["test", "-c", f"{run.stage2}/config.yaml", f"--ckpt_path={run.stage2}/best.ckpt"]
        words += [f"--trainer.default_root_dir={folder}", "--data.eval_batch_size=5"]
        words += [f"--trainer.devices={devices}", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
        done = subprocess.run(
            [sys.executable, "-m", "experiments", *words],
            cwd=CONFIGS.parents[1],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        measured.append(dict(re.findall(r"(test/\w+)\W+([\d.e-]+)", done.stdout)))
    assert len(measured[0]) == 6 + 54
    assert measured[0] == measured[1]


def test_the_language_model_of_a_run_is_told_with_what_it_learned(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[LanguageModel, list[str], str]] = []

    def told(language_model: LanguageModel, reports: list[str], template: str, drafts: int) -> dict[str, float | None]:
        asked.append((language_model, reports, template))
        return dict.fromkeys(("told_f1", "told_side_f1", "told_level_f1"))

    monkeypatch.setattr("ammrg.networks.told.told_scores", told)
    assert main(["models", "told", str(run.folder)]) == 0
    assert main(["models", "told", str(run.llm), "--data", str(run.data)]) == 0
    (language_model, reports, template), (alone, same, plain) = asked
    kept = torch.load(run.stage2 / "best.ckpt", weights_only=True)["state_dict"]
    learned = {name: value for name, value in kept.items() if "lora_" in name}
    held = {f"language_model.{name}": value for name, value in language_model.state_dict().items()}
    assert learned
    assert all(torch.equal(held[name], value) for name, value in learned.items())
    assert not any("lora" in name for name in alone.state_dict())
    assert reports == same == OpenedRun(run.folder).data.texts("val")
    assert template == OpenedRun(run.folder).kept["hyper_parameters"]["instruction"]
    assert plain == TOLD
