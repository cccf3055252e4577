"""The benchmark of generation: all ways write, words are compared at the right places, the floor is arithmetic."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from ammrg.errors import SettingsError
from benchmarks import generation
from benchmarks._stage2_inputs import TINY, save_llama
from benchmarks.generation import WAYS, Models, Way, draw_visual, floor_s, next_tokens, targets


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("llama")
    save_llama(folder, TINY | {"max_position_embeddings": 512})
    return Models(str(folder), [WAYS["NF4, float32"]])


def test_all_ways_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert generation.main(["--quick"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = [row for row in result["cases"] if row["batch"] == 8]
    assert {row["way"] for row in rows} in (set(WAYS), {name for name, way in WAYS.items() if way.dtype == "float32"})
    by_way = {row["way"]: row for row in rows}
    assert by_way["NF4, float32"]["ratio"] == 1
    assert by_way["merged, float32"]["same_next_tokens"] > 0.95
    (ours,) = [row for row in rows if row["ours"]]
    assert ours["same_next_tokens"] > 0.9
    assert result["targets"] == {}


def test_next_tokens_are_those_after_each_token(models: Models) -> None:
    texts = ["The heart is large.", "No effusion."]
    with models.reading(WAYS["NF4, float32"]) as model, torch.inference_mode():
        visual = draw_visual(model, 2)
        ids = [model.tokenizer.encode(text, add_special_tokens=False) for text in texts]
        found = next_tokens(model, visual, texts).split([len(each) + 1 for each in ids])
        before, after = (model.embed(torch.tensor(part)) for part in model.prompt_parts(generation.INSTRUCTION))
        for tokens, own, said in zip(visual, ids, found, strict=True):
            for place in (0, 1, len(own)):
                words = model.embed(torch.tensor(own[:place], dtype=torch.long))
                logits = model.model(inputs_embeds=torch.cat([before, tokens, after, words])[None]).logits
                assert said[place] == logits[0, -1].argmax()
        assert not torch.equal(found[0], next_tokens(model, visual[1:], texts[:1]))


def test_a_missing_model_leaves_it_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generation.main(["--model", str(tmp_path / "none")]) == 0
    assert "left out" in capsys.readouterr().out


def test_merged_and_packed_leave_the_model_as_it_was(models: Models) -> None:
    with models.reading(Way("float32", "merged")) as model:
        assert any("forward" in module.__dict__ for module in model.modules())
    assert not any("forward" in module.__dict__ for module in model.modules())


def test_the_floor_reads_matrices_or_takes_products(models: Models) -> None:
    with models.reading(WAYS["NF4, float32"]) as model:
        width, inner, heads, kept = 64, 128, 64 * 64, 2 * 64 * 32
        state = 2 * (2 * heads + kept + 3 * width * inner) + 1024 * width
        prompt = generation.VISUAL + sum(map(len, model.prompt_parts(generation.INSTRUCTION)))
        assert floor_s(model, 1, 11, 1.0, float("inf")) == pytest.approx(10 * 4 * state)
        assert floor_s(model, 3, 11, float("inf"), 1.0) == pytest.approx((prompt + 10) * 2 * state * 3)


def test_targets_are_those_of_ours() -> None:
    rows = [
        {"batch": 1, "way": "reordered, bfloat16", "ours": True, "ratio": 3.0, "same_next_tokens": 0.99},
        {"batch": 1, "way": "merged, float32", "ours": False, "ratio": 2.0, "same_next_tokens": 1.0},
        {"batch": 1, "way": "NF4, float32", "ours": False, "ratio": 1.0, "same_next_tokens": None},
    ]
    assert list(targets(rows).values()) == [(3.0, 2.5), (0.99, 0.995), (1.0, 0.995)]


LLAMA_CPP = """#!{python}
import json, sys
spec = json.loads(sys.argv[2])
assert spec["threads"] >= 1 and len(spec["prompt"]) > 58, spec
print("a line of its log")
print(json.dumps({{str(spec["batches"][0]): spec["tokens"] + spec["rounds"] / 10}}))
"""


def test_llama_cpp_is_given_as_many_tokens(models: Models, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(LLAMA_CPP.format(python=sys.executable))
    python.chmod(0o755)
    with models.reading(WAYS["NF4, float32"]) as model:
        assert generation.llama_cpp((str(python), "a.gguf"), model, 8, 5, 2, cpu=True) == 5.2
        with pytest.raises(SettingsError, match=r"cannot write with a\.gguf: .*xllamacpp"):
            generation.llama_cpp((sys.executable, "a.gguf"), model, 8, 5, 2, cpu=True)


def test_llama_cpp_needs_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        generation.main(["--llama-cpp", sys.executable])
    assert "give both or none" in capsys.readouterr().err


def test_rates_are_of_this_machine() -> None:
    bandwidth, flops = generation.rates(torch.float32, generation.time.perf_counter)
    assert 1e8 < bandwidth < 1e13
    assert 1e8 < flops < 1e14
