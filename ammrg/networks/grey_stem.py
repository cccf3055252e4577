"""The RGB stem of a pretrained backbone, folded for grey films."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from ammrg.errors import SettingsError

SCRATCH_MEAN = 0.5
SCRATCH_STD = 0.25
"""Normalisation of a backbone trained from scratch; grey films in [0, 1] have about these moments."""


class GreyStem(nn.Module):
    """An RGB stem convolution folded for grey films: one channel of work instead of three, the same output.

    A stem sees channel c as ``(x - mean_c) / std_c``; a grey film has the same x in all three. With the common scaling
    ``z = (x - 0.5) / 0.25`` that is ``(0.25 / std_c) z + (0.5 - mean_c) / std_c``, so the weights sum over c to one
    kernel for z and one for a plane of ones. The plane is convolved too (one film, not the batch), not summed into the
    bias: where zeros are padded its part is smaller at the border. Some backbones pad before their stem. No grey of 8
    bits is half of white, so a zero in what arrives is padding, and the plane is zero there too.
    """

    def __init__(self, convolution: nn.Conv2d, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.kernel_size, self.stride = convolution.kernel_size, convolution.stride  # read by stems that pad
        self.padding, self.dilation = convolution.padding, convolution.dilation
        kernel = convolution.weight.detach()
        means, stds = (kernel.new_tensor(list(values)).view(1, -1, 1, 1) for values in (mean, std))
        self.weight = nn.Parameter((kernel * (SCRATCH_STD / stds)).sum(1, keepdim=True))
        self.offset = nn.Parameter((kernel * ((SCRATCH_MEAN - means) / stds)).sum(1, keepdim=True))
        self.bias = convolution.bias

    def forward(self, films: Tensor) -> Tensor:
        """``[v 1 h w]`` scaled films -> ``[v o h' w']``."""
        plane = (films[:1] != 0).to(films.dtype)
        seen = F.conv2d(films, self.weight, self.bias, self.stride, self.padding, self.dilation)
        return seen + F.conv2d(plane, self.offset, None, self.stride, self.padding, self.dilation)


def fold_stem(backbone: Any, mean: Sequence[float], std: Sequence[float]) -> None:
    """Replaces the first convolution by its grey fold and tells the modules that check for channels."""
    name, stem = next(((n, m) for n, m in backbone.named_modules() if isinstance(m, nn.Conv2d)), ("", None))
    if stem is None or stem.groups != 1 or stem.padding_mode != "zeros":
        raise SettingsError(
            f"encoder: the first layer of {type(backbone).__name__} is no plain convolution, so grey films cannot be "
            "folded into its RGB stem; choose another backbone or set num_channels: 1 in encoder.config."
        )
    parent = backbone.get_submodule(name.rpartition(".")[0])
    setattr(parent, name.rpartition(".")[2], GreyStem(stem, mean, std))
    for module in backbone.modules():
        if getattr(module, "num_channels", None) == len(mean):
            module.num_channels = 1
