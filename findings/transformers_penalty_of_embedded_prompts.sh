#!/usr/bin/env bash
# transformers 5.23.0: generate(inputs_embeds=..., attention_mask=..., repetition_penalty=...) spares the beginning of the
# text. Since the penalty leaves padding out, it skips as many ids of each row as the mask has zeros. With a prompt of
# embeddings (films, audio) the ids are those of the new text alone, so its first tokens are skipped instead, and a row's
# text depends on how long the other prompts of its batch are. Without padding it is right.
#
# Seen (a small Llama made to repeat itself, 12 greedy tokens, penalty 1e6, which forbids every repetition):
#   transformers 5.23.0: alone 12 different tokens of 12, beside a prompt that is 10 longer 2
# Exits with 1 where both are the same.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 numpy==2.4.6
"$place/bin/python" - <<'PYTHON'
import sys

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
model = LlamaForCausalLM(
    LlamaConfig(
        vocab_size=100, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, pad_token_id=0,
        tie_word_embeddings=True,
    )
).eval()
for layer in model.model.layers:  # layers that add nothing: the likeliest next token is the last one again
    torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
    torch.nn.init.zeros_(layer.mlp.down_proj.weight)
prompt, longer = torch.randn(4, 32), torch.randn(14, 32)
settings = {"max_new_tokens": 12, "min_new_tokens": 12, "do_sample": False, "repetition_penalty": 1e6}
alone = model.generate(inputs_embeds=prompt[None], attention_mask=torch.ones(1, 4).long(), **settings)
padded = torch.stack([torch.cat([torch.zeros(10, 32), prompt]), longer])
mask = torch.ones(2, 14).long()
mask[0, :10] = 0
beside = model.generate(inputs_embeds=padded, attention_mask=mask, **settings)
different = [len(set(row.tolist())) for row in (alone[0], beside[0])]
print(
    f"transformers {transformers.__version__}: alone {different[0]} different tokens of {len(alone[0])}, beside a prompt "
    f"that is 10 longer {different[1]}"
)
sys.exit(not different[0] > different[1])
PYTHON
