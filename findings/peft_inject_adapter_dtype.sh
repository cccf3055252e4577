#!/usr/bin/env bash
# peft 0.21.2: inject_adapter_in_model leaves LoRA adapters in the dtype of the layers they go into, while
# get_peft_model holds them in float32 (autocast_adapter_dtype). A model loaded in bfloat16 and adapted by injection
# trains bfloat16 weights: at the small rates of fine-tuning many updates are smaller than half a step of the format and are
# rounded away, without a warning, while the loss goes on falling a little.
#
# Seen (a two-layer Llama with random weights in bfloat16, rank 8, AdamW at 5e-5):
#   get_peft_model           adapters float32,  1.00 of A's entries moved by the 30th step
#   inject_adapter_in_model  adapters bfloat16, 0.22 of A's entries moved by the 30th step
# Exits with 1 where the dtypes are no longer these, or injected adapters move as those of get_peft_model.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 peft==0.21.2
"$place/bin/python" - <<'PYTHON'
import sys

import peft
import torch
from transformers import LlamaConfig, LlamaForCausalLM


def moved(adapt):
    """The adapters' dtype, and the share of A's entries that the last of 30 steps moves."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=256, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4
    )
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model = adapt(model, peft.LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"]))
    adapters = {name: weight for name, weight in model.named_parameters() if "lora_" in name}
    optimizer = torch.optim.AdamW(adapters.values(), lr=5e-5, weight_decay=0.0)
    tokens = torch.randint(256, (4, 32))
    for _ in range(30):
        before = {name: weight.detach().clone() for name, weight in adapters.items()}
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    of_a = [(weight != before[name]).float().mean() for name, weight in adapters.items() if "lora_A" in name]
    return {str(weight.dtype) for weight in adapters.values()}, float(torch.stack(of_a).mean())


made = moved(lambda model, config: peft.get_peft_model(model, config))
injected = moved(lambda model, config: peft.inject_adapter_in_model(config, model))
print(f"peft {peft.__version__}, torch {torch.__version__}")
print(f"get_peft_model          {made[0]} {made[1]:.2f} of A's entries moved by the 30th step")
print(f"inject_adapter_in_model {injected[0]} {injected[1]:.2f} of A's entries moved by the 30th step")
sys.exit(not (made[0] == {"torch.float32"} and injected[0] == {"torch.bfloat16"} and made[1] > 0.99 and injected[1] < 0.5))
PYTHON
