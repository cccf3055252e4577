"""A memory of definitions, built and read by the commands of docs/extending/memory.md on a nano run."""

from __future__ import annotations

import re
import shlex
import shutil

import pytest
import torch

from ammrg.findings import FINDINGS
from ammrg.memory import bank_files
from callbacks.definition_writer import DEFINITIONS
from datamodules.prepared import PreparedFolder
from experiments.__main__ import main
from experiments.runs.run import Run as OpenedRun
from tests.pipeline.nano_run import CONFIGS, Run


@pytest.fixture(scope="module")
def defined(run: Run) -> Run:
    """The run with a memory of definitions, and a stage 2 that was trained with it for a few steps."""
    again = Run(run.root, "defined")
    shutil.copytree(run.stage1, again.stage1)
    shutil.copytree(run.memory, again.memory)
    page = (CONFIGS.parents[1] / "docs" / "extending" / "memory.md").read_text()
    (commands,) = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    commands = commands.replace("experiments/configs", str(CONFIGS)).replace("RUN/", f"{again.folder}/")
    build, train = (shlex.split(command) for command in commands.replace("\\\n", "").splitlines())
    assert (build[:3], train[:2]) == (["python", "-m", "experiments"], ["make", "stage2"])
    assert main(build[3:]) == 0
    option = train[-1].removeprefix("ARGS=")
    assert again.fit_stage2(option, "--trainer.max_epochs=1", "--trainer.limit_train_batches=3") == 0
    return again


def test_the_bank_has_a_definition_for_each_finding_and_no_owner(defined: Run) -> None:
    bank = bank_files.load(defined.memory / "definitions", PreparedFolder(defined.data).held_out())
    assert bank.meta.kind == "knowledge"
    assert bank.texts == tuple(DEFINITIONS[finding] for finding in FINDINGS)
    assert len(set(bank.texts)) == 14
    assert not bank.is_owned.any()
    distances = torch.cdist(bank.patterns, bank.patterns) + torch.eye(14) * 9
    assert distances.min() > 1e-3


def test_stage_2_was_trained_with_it_and_reads_it_again(
    run: Run, defined: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    network = OpenedRun(defined.folder).model().network
    assert list(network.banks) == ["visual", "report", "definitions"]
    state = torch.load(defined.stage2 / "best.ckpt", weights_only=True)["state_dict"]
    kept = {key for key in state if ".definitions." in f".{key}"}
    assert kept == {key for key in network.trained_state_dict() if ".definitions." in f".{key}"}
    assert {key.partition(".")[0] for key in kept} == {"retrievals", "streams", "hubs"}
    assert main(["memory", "show", str(defined.memory)]) == 0
    assert "knowledge" in capsys.readouterr().out
    assert main(["memory", "check", str(defined.memory / "definitions"), "--data", str(defined.data)]) == 0


def test_a_patient_is_withdrawn_from_the_other_memories_beside_it(defined: Run) -> None:
    before = (defined.memory / "definitions.json").read_bytes()
    (study, *_) = bank_files.load(defined.memory / "reports", PreparedFolder(defined.data).held_out()).study_ids[0]
    assert main(["memory", "prune", str(defined.memory), "--study", study]) == 0
    assert (defined.memory / "definitions.json").read_bytes() == before
