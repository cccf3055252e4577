"""The smallest encoder with a grid: 8-pixel cells, 16 wide."""

from __future__ import annotations

ENCODER = {
    "config": {
        "model_type": "resnet",
        "num_channels": 1,
        "embedding_size": 8,
        "hidden_sizes": [8, 16],
        "depths": [1, 1],
        "layer_type": "basic",
    }
}
