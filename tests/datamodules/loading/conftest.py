"""The prepared folder that these tests load."""

from __future__ import annotations

import pytest

from datamodules.shards import write_shards
from datamodules.sources.source_reading import SourceReading
from tests.datamodules.loading.small_folder import SIZES, study


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("prepared")
    studies = {split: [study(number, split) for number in range(count)] for split, count in SIZES.items()}
    settings = {"section": "findings", "seed": 0, "size": 40}
    reading = SourceReading(studies, "test", 2 * sum(SIZES.values()))
    write_shards(reading, path, dataset="test", settings=settings, size=40, section="findings", workers=1)
    return str(path)
