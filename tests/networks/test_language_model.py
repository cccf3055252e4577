"""LanguageModel against plain transformers, on tiny random models of several families."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ammrg.errors import SettingsError
from ammrg.networks.language_model import LanguageModel
from tests.networks.tiny_language_models import REPORTS, edited, films


@pytest.fixture
def llama(folders: Callable[[str], Path]) -> LanguageModel:
    torch.manual_seed(1)
    return LanguageModel(str(folders("Llama")), quantization="none", device="cpu")


def test_loss_is_that_of_plain_transformers(llama: LanguageModel) -> None:
    visual = films(4, 7, 2)
    before, after = (torch.tensor(ids) for ids in llama.prompt_parts("Describe."))
    total, count = 0.0, 0
    for tokens, report in zip(visual, REPORTS, strict=True):  # one at a time: no padding, all logits, HF's own loss
        ids = torch.tensor([*llama.tokenizer.encode(report), llama.tokenizer.eos_token_id])
        prompt = torch.cat([llama.embed(before), tokens, llama.embed(after)])
        labels = torch.cat([torch.full((len(prompt),), -100), ids])
        output = llama.model(inputs_embeds=torch.cat([prompt, llama.embed(ids)])[None], labels=labels[None])
        total, count = total + float(output.loss) * len(ids), count + len(ids)
    assert float(llama.loss(visual, REPORTS, "Describe.")) == pytest.approx(total / count, rel=1e-5)
    losses = llama.target_losses(visual, REPORTS, "Describe.")
    assert len(losses.values) == count
    assert losses.report_of_token.bincount().tolist() == [len(llama.tokenizer.encode(report)) + 1 for report in REPORTS]


def test_logits_are_computed_only_where_there_is_a_target(llama: LanguageModel) -> None:
    seen: list[torch.Size] = []
    llama.model.lm_head.register_forward_hook(lambda module, args, output: seen.append(output.shape))
    losses = llama.target_losses(films(30, 50), REPORTS[:2], "Describe.")
    assert seen == [torch.Size([len(losses.values), 320])]


def test_prompt_is_the_chat_template_around_the_visual_tokens(llama: LanguageModel) -> None:
    before, after = llama.prompt_parts("Describe.")
    assert llama.tokenizer.decode(before) == "<s><|user|>"
    assert llama.tokenizer.decode(after) == "Describe.<|assistant|>"


def test_a_prompt_embedded_under_inference_mode_still_trains(llama: LanguageModel) -> None:
    with torch.inference_mode():
        llama.loss(films(2, 2, 2), REPORTS, "Describe.")
    visual = [tokens.requires_grad_() for tokens in films(2, 2, 2)]
    llama.loss(visual, REPORTS, "Describe.").backward()
    assert all(tokens.grad is not None and tokens.grad.abs().sum() > 0 for tokens in visual)


@pytest.mark.parametrize("penalty", [None, 2.0])
@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_text_does_not_depend_on_the_batch(
    folders: Callable[[str], Path], quantization: str, beams: int, penalty: float | None
) -> None:
    how: dict[str, Any] = {"max_new_tokens": 12, "num_beams": beams, "repetition_penalty": penalty}
    model = LanguageModel(str(folders("Llama")), quantization=quantization, device="cpu")
    torch.manual_seed(2)
    visual = films(1, 9, 4, 30, 2, 17, 5, 11)
    together = model.generate(visual, "Describe.", **how)
    alone = [model.generate([tokens], "Describe.", **how)[0] for tokens in visual]
    assert together == alone
    assert len(set(together)) > 4  # random weights, but not blind


@pytest.mark.parametrize("how", [{}, {"num_beams": 2}, {"do_sample": True}, {"min_new_tokens": 12}])
def test_near_the_end_of_the_context_a_text_does_not_depend_on_the_batch_either(
    folders: Callable[[str], Path], tmp_path: Path, how: dict[str, Any]
) -> None:
    """A long prompt leaves itself little room, and its neighbours all of theirs."""
    folder = edited(folders("Llama"), tmp_path / "model", "config.json", max_position_embeddings=64)
    model = LanguageModel(str(folder), quantization="none", device="cpu")
    torch.manual_seed(2)
    counts = [30, 42, 5, 44, 42]
    visual, seeds = films(*counts), list(range(5))
    words = sum(map(len, model.prompt_parts("A.")))
    rooms = [min(20, 64 - words - count) for count in counts]
    assert len(set(rooms)) == 3
    lengths: list[int] = []
    inner = model.model.generate

    def counted(**inputs: Any) -> Any:
        ids = inner(**inputs)
        lengths.extend([ids.shape[1]] * len(ids))
        return ids

    model.model.generate = counted
    together = model.generate(visual, "A.", max_new_tokens=20, seeds=seeds, **how)
    assert sorted(lengths) <= sorted(rooms)
    alone = [
        model.generate([tokens], "A.", max_new_tokens=20, seeds=[seed], **how)[0]
        for tokens, seed in zip(visual, seeds, strict=True)
    ]
    assert together == alone
    if "min_new_tokens" in how:
        assert max(lengths) == 20


def test_a_least_length_that_counts_the_prompt_counts_a_studys_own(folders: Callable[[str], Path]) -> None:
    """Not the prompt's in its batch, which is padded to the longest."""
    model = LanguageModel(str(folders("Llama")), quantization="none", device="cpu")
    counts = [3, 20, 9, 20]
    words = sum(map(len, model.prompt_parts("A.")))
    least: dict[int, int] = {}
    inner = model.model.generate

    def watched(**inputs: Any) -> Any:
        assert not inputs.get("min_length")
        for length in inputs["attention_mask"].sum(1).tolist():
            least[length - words] = inputs.get("min_new_tokens", 0)
        return inner(**inputs)

    model.model.generate = watched
    model.generate(films(*counts), "A.", max_new_tokens=12, min_length=words + 11, min_new_tokens=1)
    assert least == {3: 8, 9: 2, 20: 1}


def test_modes_are_a_new_modules_and_come_back(folders: Callable[[str], Path]) -> None:
    model = LanguageModel(str(folders("Llama")), quantization="none", lora={"rank": 2, "dropout": 0.5}, device="cpu")
    assert all(module.training for module in model.modules())
    still = model.model.get_submodule("model.layers.0").eval()
    model.generate(films(3), "A.", max_new_tokens=2)
    assert all(module.training is (module not in set(still.modules())) for module in model.modules())


def test_a_drawn_text_belongs_to_its_study_and_seed(llama: LanguageModel) -> None:
    torch.manual_seed(2)
    visual, seeds = films(1, 9, 4, 30), [3, 4, 5, 6]
    how = {"max_new_tokens": 12, "do_sample": True, "temperature": 0.7}
    together = llama.generate(visual, "Describe.", seeds=seeds, **how)
    alone = [
        llama.generate([tokens], "Describe.", seeds=[seed], **how)[0]
        for tokens, seed in zip(visual, seeds, strict=True)
    ]
    assert together == alone
    assert llama.generate(visual, "Describe.", seeds=[13, 14, 15, 16], **how) != together
    with pytest.raises(SettingsError, match="num_beams"):
        llama.generate(visual, "Describe.", num_beams=2, **how)


def overfit(model: LanguageModel, visual: list[Tensor], reports: list[str], steps: int = 60) -> None:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-2, weight_decay=0)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        model.loss(visual, reports, "Describe.").backward()
        optimizer.step()


def test_lora_learns_reports_and_their_end(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = str(folders("Llama"))
    torch.manual_seed(3)
    model = LanguageModel(folder, quantization="nf4", lora={"rank": 8}, device="cpu")
    visual = films(3, 5, 4)
    before = model.embed(torch.arange(10)).clone()
    overfit(model, visual, REPORTS)
    assert model.generate(visual, "Describe.", max_new_tokens=40) == REPORTS  # stops at EOS, each from its own film
    assert torch.equal(model.embed(torch.arange(10)), before)

    state = model.trained_state_dict()
    assert state
    assert all("lora_" in key for key in state)
    again = LanguageModel(folder, quantization="nf4", lora={"rank": 8}, device="cpu")
    again.load_trained_state_dict(state)
    assert again.generate(visual, "Describe.", max_new_tokens=40) == REPORTS


def test_a_tokenizer_without_pad_serves(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders("Llama"), tmp_path / "model")
    content = json.loads((folder / "tokenizer_config.json").read_text())
    del content["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(content))
    torch.manual_seed(4)
    visual = films(3, 8, 1)
    without = LanguageModel(str(folder), quantization="none", device="cpu")
    assert without.tokenizer.pad_token_id is None
    with_pad = LanguageModel(str(folders("Llama")), quantization="none", device="cpu")
    assert without.generate(visual, "A.", max_new_tokens=8) == with_pad.generate(visual, "A.", max_new_tokens=8)
    assert torch.equal(without.loss(visual, REPORTS, "A."), with_pad.loss(visual, REPORTS, "A."))


def test_the_turn_ends_with_the_token_of_the_chat_template(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = edited(folders("Llama"), tmp_path / "model", "generation_config.json", eos_token_id=[2, 4])
    template = (folder / "chat_template.jinja").read_text().replace("{{ eos_token }}", "<|user|>")
    (folder / "chat_template.jinja").write_text(template)
    model = LanguageModel(str(folder), quantization="none", device="cpu")
    assert model.stop_ids == [2, 4]
    assert model.fitting_report("Normal.", 100)[1][-1] == model.tokenizer.convert_tokens_to_ids("<|user|>") == 4


def test_a_long_report_is_cut_at_a_sentence_end_and_counted(llama: LanguageModel) -> None:
    whole = llama.tokenizer.encode(REPORTS[1])
    first_two = llama.tokenizer.encode("No effusion. The lungs are clear.")
    assert llama.fitting_report(REPORTS[1], len(whole) + 1)[1] == [*whole, llama.end_id]
    assert llama.reports_cut == 0
    assert llama.fitting_report(REPORTS[1], len(whole))[1] == [*first_two, llama.end_id]
    assert llama.fitting_report(REPORTS[1], 2)[1] == whole[:2]
    assert llama.reports_cut == 2
    assert len(llama.target_losses(films(3), [REPORTS[1]], "A.", max_report_tokens=len(whole)).values) == (
        len(first_two) + 1
    )


def test_a_prompt_longer_than_the_context_is_refused(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = edited(folders("Llama"), tmp_path / "model", "config.json", max_position_embeddings=32)
    model = LanguageModel(str(folder), quantization="none", device="cpu")
    for call in (lambda: model.loss(films(40), ["a"], "A."), lambda: model.generate(films(40), "A.", max_new_tokens=4)):
        with pytest.raises(SettingsError, match="reads 32 tokens"):
            call()
