"""The kept settings of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from ammrg.errors import SettingsError
from experiments.run_settings import differences, keep

SETTINGS = {
    "seed_everything": 0,
    "trainer": {
        "max_epochs": 3,
        "default_root_dir": "a",
        "callbacks": [{"class_path": "x.Keep", "init_args": {"n": 1}}],
    },
    "model": {"class_path": "m.Model", "init_args": {"lr": 1e-3, "lora": None}},
    "ckpt_path": None,
}


def test_first_call_keeps_and_the_same_settings_are_welcome_again(tmp_path: Path) -> None:
    assert keep(SETTINGS, tmp_path) is False
    assert keep(SETTINGS, tmp_path) is True
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_a_change_is_refused_by_its_command_line_name(tmp_path: Path) -> None:
    keep(SETTINGS, tmp_path)
    changed = {**SETTINGS, "model": {"class_path": "m.Model", "init_args": {"lr": 1e-4, "lora": {"rank": 8}}}}
    with pytest.raises(SettingsError, match=r"model\.lr: 0\.001 \(kept\) -> 0\.0001 \(asked\)") as caught:
        keep(changed, tmp_path)
    assert "model.lora.rank: not set (kept) -> 8 (asked)" in str(caught.value)
    assert "RUN=" in str(caught.value)


def test_cosmetic_keys_may_differ() -> None:
    moved = {**SETTINGS, "trainer": {**SETTINGS["trainer"], "default_root_dir": "b"}, "ckpt_path": "last.ckpt"}
    assert differences(SETTINGS, moved) == []


def test_a_callbacks_setting_is_named_with_its_class() -> None:
    callbacks = [{"class_path": "x.Keep", "init_args": {"n": 2}}]
    changed = {**SETTINGS, "trainer": {**SETTINGS["trainer"], "callbacks": callbacks}}
    assert differences(SETTINGS, changed) == ["trainer.callbacks.Keep.n: 1 (kept) -> 2 (asked)"]


def test_forced_settings_replace_the_kept_ones_and_are_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(SETTINGS, tmp_path)
    changed = {**SETTINGS, "model": {"class_path": "m.Model", "init_args": {"lr": 1e-4, "lora": None}}}
    assert keep(changed, tmp_path, forced=True) is False
    assert "model.lr: 0.001 (kept) -> 0.0001 (asked)" in capsys.readouterr().out
    assert "model.lr: 0.001 (kept)" in (tmp_path / "forced.log").read_text()
    assert keep(changed, tmp_path) is True
