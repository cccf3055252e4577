"""A further memory: read after the two, silenced with them, trained, checked and exported."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from ammrg.errors import CheckpointError, SettingsError
from ammrg.inference.model_fingerprint import model_fingerprint
from ammrg.inference.report_generator import ReportGenerator
from ammrg.memory.bank import MemoryBank
from ammrg.networks.token_budget import token_budget
from tests.tiny_export import OTHERS, random_model, reseal, texts, write
from tests.tiny_stage2 import bank, batch, build


def knowledge() -> MemoryBank:
    """Seven texts of nobody."""
    like = bank("reports", 20, tuple("abcdefg")).take(torch.arange(7))
    nobody = ((),) * 7
    meta = dataclasses.replace(like.meta, kind="knowledge")
    return dataclasses.replace(like, study_ids=nobody, subject_ids=nobody, meta=meta)


@pytest.fixture
def banks() -> tuple[MemoryBank, MemoryBank, dict[str, MemoryBank]]:
    return bank("regions", 32), bank("reports", 24), {"facts": knowledge()}


def test_it_is_read_after_the_two_and_silent_with_all(llm_folder: Path, banks) -> None:
    network = build(llm_folder, banks=banks).eval()
    on = network.prompt(batch()).tokens
    assert token_budget(network, 48) == {**token_budget(build(llm_folder), 48), "facts": 14}
    for shown, off, reports_off in zip(
        on,
        network.prompt(batch(), memories="off").tokens,
        network.prompt(batch(), memories="report_off").tokens,
        strict=True,
    ):
        assert shown[-14:].abs().amax(1).min() > 0
        assert off[-42:].abs().max() == 0
        torch.testing.assert_close(off[:-42], shown[:-42])
        torch.testing.assert_close(reports_off[-14:], shown[-14:])


def test_the_loss_trains_its_retrieval(llm_folder: Path, banks) -> None:
    network = build(llm_folder, banks=banks)
    network(batch()).backward()
    parts = network.retrievals["facts"], network.streams["facts"]
    assert all(part.grad is not None and part.grad.abs().sum() > 0 for module in parts for part in module.parameters())


def test_another_bank_of_that_name_is_another_network(llm_folder: Path, banks) -> None:
    network, plain = build(llm_folder, banks=banks), build(llm_folder)
    assert network.identity == {**plain.identity, "facts_memory": banks[2]["facts"].fingerprint}
    with pytest.raises(CheckpointError):
        plain.load_trained_state_dict(network.trained_state_dict())
    again = build(llm_folder, seed=1, banks=banks, classifier=network.classifier)
    again.load_trained_state_dict(network.trained_state_dict())
    torch.testing.assert_close(again.eval().prompt(batch()).tokens[0], network.eval().prompt(batch()).tokens[0])


@pytest.mark.parametrize("restricted", [False, True])
def test_it_travels_with_an_export(llm_folder: Path, tmp_path: Path, banks, restricted: bool) -> None:
    model = random_model(llm_folder, further=banks[2])
    folder = write(tmp_path / "model", model, restricted=restricted)
    assert (folder / "memory" / "facts.json").is_file()
    read = ReportGenerator.from_pretrained(folder)
    assert read.network.further_banks["facts"].texts == (("",) * 7 if restricted else banks[2]["facts"].texts)
    written, again = (each.network.generate(batch(OTHERS)) for each in (model, read))
    assert texts(again) == texts(written)
    if not restricted:
        assert read.fingerprint == model_fingerprint(model.network, model.processor, model.map_method, None)


@pytest.mark.parametrize("name", ["image", "reports", "my facts", "a.b"])
def test_a_name_that_cannot_name_it_is_refused(llm_folder: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=f"model.further_memories: '{name}' cannot name a memory"):
        build(llm_folder, banks=(bank("regions", 32), bank("reports", 24), {name: knowledge()}))


def test_an_export_names_no_memory_outside_its_folder(llm_folder: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "model", random_model(llm_folder))
    reseal(folder, lambda config: config["memories_trained_with"].update({"../../elsewhere": "5" * 16}))
    with pytest.raises(SettingsError, match="cannot name a memory"):
        ReportGenerator.from_pretrained(folder)
