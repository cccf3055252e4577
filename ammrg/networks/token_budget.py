"""The token budget: how many tokens the language model reads for a study."""

from __future__ import annotations

import math

import torch

from ammrg.findings import NUM_FINDINGS
from ammrg.networks.evaluating import evaluating
from ammrg.networks.report_network import ReportNetwork
from ammrg.networks.visual_prompt import pooled_grid
from ammrg.text.prompts import instruction


def token_budget(network: ReportNetwork, image_size: int) -> dict[str, int]:
    """Count the tokens of a prompt for a study with one film.

    Args:
        network: makes the prompt.
        image_size: side of the film in pixels.

    Returns:
        Stream -> tokens, and ``instruction`` -> tokens of the chat template and the instruction, without the names of
        findings and the indication.
    """
    blank = torch.zeros(1, 1, image_size, image_size, dtype=torch.uint8, device=network.device)
    with torch.no_grad(), evaluating(network):
        grid = network.see(blank).grid
    film = math.prod(pooled_grid(grid, network.pool_image_tokens))
    words = network.language_model.prompt_parts(instruction(network.instruction, {}, ""))
    return {name: film if name == "image" else NUM_FINDINGS for name in network.streams} | {
        "instruction": sum(map(len, words))
    }
