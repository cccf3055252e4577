"""Models are loaded without a table of weights; a bar is shown where loading takes long."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import AutoModel, EfficientNetConfig, EfficientNetModel
from transformers.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled

from ammrg.networks.quiet_loading import LARGE, quiet_loading

SMALL = EfficientNetConfig(
    image_size=32, width_coefficient=0.25, depth_coefficient=0.3, hidden_dim=64, depthwise_padding=[]
)


@pytest.fixture(autouse=True)
def bars() -> Iterator[None]:
    """Bars are on, as in a new process, whatever tests before have left."""
    shown = is_progress_bar_enabled()
    enable_progress_bar()
    yield
    if not shown:
        disable_progress_bar()


def test_a_convolutional_network_loads_without_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    EfficientNetModel(SMALL).save_pretrained(tmp_path)
    capsys.readouterr()
    heard: list[str] = []
    listener = logging.Handler()
    listener.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("transformers")
    logger.addHandler(listener)
    try:
        with quiet_loading(str(tmp_path)):
            AutoModel.from_pretrained(str(tmp_path))
        assert not heard
        assert capsys.readouterr().err == ""
        logger.warning("as before")
        assert heard == ["as before"]
    finally:
        logger.removeHandler(listener)


def test_only_small_folders_hide_their_bar(tmp_path: Path) -> None:
    with quiet_loading(str(tmp_path)):
        assert not is_progress_bar_enabled()
    assert is_progress_bar_enabled()
    with quiet_loading("some/hub-id"):
        assert is_progress_bar_enabled()  # that of its download
    with (tmp_path / "model-00001-of-00002.safetensors").open("wb") as file:
        file.truncate(LARGE)
    with quiet_loading(str(tmp_path)):
        assert is_progress_bar_enabled()
    with pytest.raises(KeyboardInterrupt), quiet_loading("some/hub-id"):
        raise KeyboardInterrupt
    assert logging.getLogger("transformers").level < logging.ERROR
