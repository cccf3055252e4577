"""Wrong words of a Trainer's command: one sentence, before anything heavy is loaded or written."""

from __future__ import annotations

import re
import subprocess
import sys
from argparse import ArgumentError
from pathlib import Path

import pytest
from lightning.pytorch.cli import instantiate_module

from ammrg.errors import SettingsError
from experiments.__main__ import main
from experiments.runs.setting_errors import sentence
from experiments.training import cli
from experiments.training.command import run
from experiments.training.machine import check_machine
from experiments.training.words import Words
from lightning_modules.report_generation import ReportGeneration
from tests.experiments.test_settings_join import words

S1, S2 = words("stage1", "nano"), words("stage2", "small")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (
            [*S2, "--model.network.hopfield.bata=8"],
            r"--model\.network\.hopfield\.bata: .*model\.network\.hopfield\.beta",
        ),
        ([*S2, "--model.beta=8"], r"--model\.beta: no such setting; the nearest: model\.network\.hopfield\.beta"),
        ([*S2, "--model.lora.rnk=8"], r"--model\.lora\.rnk: .*model\.lora\.rank"),
        ([*S1, "--trainer.max_ep=2"], r"--trainer\.max_ep: .*trainer\.max_epochs"),
        ([*S1, "--max_epochs=2"], r"--max_epochs: .*trainer\.max_epochs"),
        ([*S1, "--ckpt", "x"], r"--ckpt: .*ckpt_path"),
        ([*S1, "--new_studies=true"], r"--new_studies: no such setting"),  # predict's
        ([*S1, "--data.batchsize=2"], r"--data\.batchsize: .*data\.batch_size"),
        ([*S1, "--trainer.callbacks.map_num=2"], r"callbacks\.RegionMemoryWriter\.map_num: .*maps_num"),
        ([*S1, "--model.lr.x=2"], r"--model\.lr\.x: no such setting"),
        ([*S1, "max_epochs=2"], r"'max_epochs=2' is no option"),
        ([*S1, "--trainer.max_epochs"], r"--trainer\.max_epochs: has no value"),
        ([*S1, "--force_resume=yes"], r"--force_resume: found 'yes', but takes no value"),
        ([*S1, "-c", "no/such.yaml"], r"-c no/such\.yaml: no such file"),
        (["fit", *S1[5:]], r"nano\.yaml: model\.encoder: no file before it names the class"),
    ],
)
def test_an_unknown_word_is_named_with_the_nearest_there_are(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert said.startswith("error: ")
    assert re.search(told, said)


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    for text, told in (
        ("model: {init_args: {network: {hopfield: {bata: 3}}}}", r"mine\.yaml: model\.network\.hopfield\.bata: .*beta"),
        ("trainer: {callbacks: [{class_path: callbacks.samples.Samples, init_args: {x: 1}}]}", r"Samples\.x"),
        ("trainer: 3", r"mine\.yaml: trainer: found 3, must map"),
        ("- 1", r"mine\.yaml: holds no settings"),
        ("a: [", r"mine\.yaml: not YAML"),
    ):
        path.write_text(text)
        with pytest.raises(SettingsError, match=told):
            Words([*S2, "-c", str(path)]).check()


def test_what_is_right_passes() -> None:
    for argv in (S1, S2, ["predict", *S1[1:], "--new_studies=true", "--return_predictions=false"]):
        Words(argv).check()
    Words(
        [*S1, "--model.encoder.config.anything.at.all=3", "--force-resume", "--wandb", "off", "--print_config"]
    ).check()
    Words([*S1, "--trainer.strategy=ddp", "--trainer.callbacks+=callbacks.samples.Samples"]).check()


def test_settings_written_as_a_mapping_are_looked_into(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--model\.network\.hopfield\.bata: .*hopfield\.beta"):
        Words([*S2, '--model.network={"hopfield": {"bata": 8}}']).check()
    written = '--trainer.callbacks+={"class_path": "callbacks.samples.Samples", "init_args": {"x": 1}}'
    with pytest.raises(SettingsError, match=r"Samples\.x: no such setting"):
        Words([*S1, written]).check()
    (tmp_path / "trainer.yaml").write_text("max_epochs: 3\n")
    Words([*S1, f"--trainer={tmp_path / 'trainer.yaml'}"]).check()


def test_only_what_jsonargparse_would_spoil_goes_as_yaml() -> None:
    options = [
        "--model.lora.rank=4",
        "--model.encoder.revision=@x",
        "--model.lr=null",
        "--model.encoder.revision=2020-01-01",
    ]
    assert Words([*S1, *options]).joined()[-4:] == options
    spoiled = [
        "--model.encoder.pretrained=null",
        "--model.encoder.config.depths=[1, 2]",
        "--model.encoder.config.a.b=relu",
    ]
    assert Words([*S1, *spoiled]).joined()[-6:] == [
        "--config",
        '{"model": {"init_args": {"encoder": {"pretrained": null}}}}',
        "--config",
        '{"model": {"init_args": {"encoder": {"config": {"depths": [1, 2]}}}}}',
        "--config",
        '{"model": {"init_args": {"encoder": {"config": {"a": {"b": "relu"}}}}}}',
    ]


def test_nothing_heavy_is_loaded_for_a_wrong_word() -> None:
    asked = [*S2, "--model.network.hopfield.bata=8"]
    code = f"import sys; from experiments.__main__ import main; print(main({asked}), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_the_names_are_those_of_the_parser(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No option of the real command is taken for an unknown one, and none is known that it does not have."""
    made: list[cli.ExperimentCLI] = []
    monkeypatch.setattr(
        cli.ExperimentCLI, "parse_arguments", lambda self, parser, args: made.append(self) or sys.exit(0)
    )
    argv = [command, *S1[1:]]
    assert run(argv) == 0
    real = {
        option.removeprefix("--").removesuffix("+")
        for option in made[0]._subcommand_parsers[command]._option_string_actions
        if option.startswith("--") and not option.endswith("help")
    }
    known = {name for name in Words(argv).known if not name.startswith(("model.", "data.", "trainer.callbacks."))}
    assert known == real


WRONG = [
    (S2, "--model.network.hopfield.beta=x", "model.network.hopfield.beta: found x, must be a number or a list"),
    (S2, "--model.lora.rank=2.5", "model.lora.rank: found 2.5, must be a whole number"),
    (S2, "--model.quantization=nf5", "model.quantization: found nf5, must be one of nf4, fp4, int8, none"),
    (S2, "--model.network=3", "model.network: found 3, must be a mapping or null"),
    (S1, "--model.encoder=3", "model.encoder: found 3, must be a mapping"),
    (S1, "--trainer.max_epochs=x", "trainer.max_epochs: found x, must be a whole number or null"),
    (S1, "--data.batch_size=1.5", "data.batch_size: found 1.5, must be a whole number"),
    (S1, "--trainer.callbacks.maps_num=x", "trainer.callbacks.maps_num: found x, must be a whole number"),
    (S1, "--wandb=perhaps", "wandb: found perhaps, must be one of auto, online, offline, off"),
    (S1, "--model=Foo", "model: no class Foo; name one with its module (package.module.Class)"),
    (
        S2[:-3],
        "--wandb=off",
        "not given: --model.stage1_checkpoint, --model.regions_memory, --model.reports_memory; each needs a value, "
        "here or in a file (-c)",
    ),
]


@pytest.mark.parametrize(("argv", "word", "told"), WRONG, ids=[word for _, word, _ in WRONG])
def test_a_wrong_value_is_told_in_one_sentence(
    argv: list[str], word: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*argv, word]) == 2
    assert capsys.readouterr().err == f"error: {told}\n"


def test_what_a_checkpoint_holds_and_no_release_knows_is_told() -> None:
    kept = {"stage1_checkpoint": "a", "regions_memory": "r", "reports_memory": "s", "language_model": "m"}
    with pytest.raises(ArgumentError) as caught:  # as Lightning reads a checkpoint's settings
        instantiate_module(ReportGeneration, {**kept, "decoding": {"max_new_tokens": 9, "low_memory": True}})
    assert sentence(str(caught.value)) == "module.decoding.low_memory: no such setting"


def test_a_message_of_another_kind_stays_whole() -> None:
    assert sentence("something\n  else") == "something else"


TRAINER = {"accelerator": "cpu", "devices": "auto", "num_nodes": 1, "strategy": "auto", "precision": None}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"accelerator": "foo"}, "accelerator foo, .*invalid accelerator"),
        ({"devices": "two"}, "devices two"),
        ({"devices": 0}, "devices 0"),
        ({"strategy": "foo"}, "strategy foo, .*invalid strategy"),
        ({"strategy": "fsdp"}, "strategy fsdp, .*requires a GPU"),
        ({"precision": "transformer-engine"}, "precision transformer-engine"),
        ({"max_epochs": -5}, "max_epochs"),
        ({"limit_train_batches": 2.5}, "limit_train_batches"),
    ],
)
def test_what_the_machine_cannot_do_is_said(changed: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=f"^trainer .*{told}.* CPU cores") as caught:
        check_machine({**TRAINER, **changed})
    assert "\n" not in str(caught.value)


def test_processes_that_would_bring_the_machine_to_a_stand_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    check_machine({**TRAINER, "devices": 12})  # processes share cores
    with pytest.raises(SettingsError, match=r"^trainer\.devices: 13 processes, .*3 CPU cores.* at most 12$"):
        check_machine({**TRAINER, "devices": 13})


def test_a_gpu_that_is_not_there_is_refused_before_a_run_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    run = tmp_path / "run"
    assert main([*S1, "--trainer.accelerator=gpu", f"--trainer.default_root_dir={run}"]) == 1
    assert "trainer.accelerator: gpu, but torch finds no GPU on this machine" in capsys.readouterr().err
    assert main([*S1, "--seed_everything=-5", f"--trainer.default_root_dir={run}"]) == 1
    assert "seed_everything: -5" in capsys.readouterr().err
    assert not run.exists()
    assert main([*S1, "--model.lr=-1", f"--trainer.default_root_dir={run}"]) == 1
    assert "model.lr (-1.0) must be above 0" in capsys.readouterr().err
    assert not (run / "config.yaml").exists()  # settings that nothing could be built of
