#!/usr/bin/env bash
# transformers 5.23.0: EfficientNet's batch norms forget. The configuration's batch_norm_momentum is 0.99, as TensorFlow
# counts it (the share of the old statistics), but is handed to torch's BatchNorm2d, which counts the share of the new
# batch. So one training step replaces 99% of the pretrained statistics of the stem, the depthwise and the projecting
# layers by those of its batch (the expanding layers keep torch's 0.1): after fine-tuning on small batches, eval mode uses
# the statistics of the last batch alone. Setting batch_norm_momentum=0.01 in config.json, or leaving batch norms in eval
# mode, cures it. The published checkpoints carry 0.99.
#
# Seen:
#   transformers 5.23.0: after one batch of mean 5, running mean of the stem moved by 0.99 of the way, of an expanding layer by 0.1
# Exits with 1 where one batch moves the stem's statistics by less than 0.9 of the way.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 numpy==2.4.6
"$place/bin/python" - <<'PYTHON'
import sys

import torch
import transformers
from transformers import EfficientNetConfig, EfficientNetModel

torch.manual_seed(0)
config = EfficientNetConfig(width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280, image_size=64)
model = EfficientNetModel(config).train()
for layer in model.modules():  # transformers draws weights so small that nothing but rounding would be left
    if isinstance(layer, (torch.nn.Conv2d, torch.nn.BatchNorm2d)):
        layer.reset_parameters()
stem = model.embeddings.batchnorm
expanding = next(block for block in model.encoder.blocks if block.expand).expansion.expand_bn
seen = {}
for name, norm in (("stem", stem), ("expanding", expanding)):
    norm.register_forward_pre_hook(lambda module, inputs, name=name: seen.update({name: inputs[0].mean((0, 2, 3))}))
with torch.no_grad():
    model(torch.randn(4, 3, 64, 64) + 5)
moved = {name: float((norm.running_mean / seen[name]).median()) for name, norm in (("stem", stem), ("expanding", expanding))}
print(
    f"transformers {transformers.__version__}: after one batch of mean 5, running mean of the stem moved by "
    f"{moved['stem']:.2f} of the way, of an expanding layer by {moved['expanding']:.1f}"
)
sys.exit(not (config.batch_norm_momentum == 0.99 and moved["stem"] > 0.9))
PYTHON
