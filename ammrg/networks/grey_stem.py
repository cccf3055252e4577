"""The grey stem: the RGB stem of a pretrained backbone, folded for grey films."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from ammrg.errors import SettingsError

SCRATCH_MEAN = 0.5
SCRATCH_STD = 0.25
"""Normalisation for a backbone trained from scratch: about the mean and deviation of grey films in [0, 1]."""


class GreyStem(nn.Module):
    """An RGB stem convolution folded for grey films: the same output from one channel instead of three.

    An RGB stem reads channel c as ``(x - mean_c) / std_c``, and a grey film has the same x in all three channels. With
    the common scaling ``z = (x - 0.5) / 0.25`` this is ``(0.25 / std_c) z + (0.5 - mean_c) / std_c``. So the sum over c
    gives one kernel for z and one for a plane of ones.

    The plane is convolved too (once, not for each film) instead of being added to the bias, because padding with zeros
    makes its part smaller at the border. Some backbones pad before their stem: there the plane is zero where the input
    is. An input of zero can only be padding, because no 8-bit grey is exactly half of white.

    Args:
        convolution: the RGB stem.
        mean: of each channel, for films in [0, 1].
        std: of each channel.
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
        """Apply the stem: scaled films ``[v 1 h w]`` -> ``[v o h' w']``."""
        plane = (films[:1] != 0).to(films.dtype)
        seen = F.conv2d(films, self.weight, self.bias, self.stride, self.padding, self.dilation)
        return seen + F.conv2d(plane, self.offset, None, self.stride, self.padding, self.dilation)


def fold_stem(backbone: Any, mean: Sequence[float], std: Sequence[float]) -> None:
    """Replace a backbone's first convolution by its grey fold, and correct the modules that check the channels.

    Args:
        backbone: of transformers; changed in place.
        mean: of each channel, for films in [0, 1].
        std: of each channel.

    Raises:
        SettingsError: the first convolution cannot be folded.
    """
    name, stem = next(((n, m) for n, m in backbone.named_modules() if isinstance(m, nn.Conv2d)), ("", None))
    if stem is None or stem.groups != 1 or stem.padding_mode != "zeros":
        raise SettingsError(
            f"encoder: the first layer of {type(backbone).__name__} is not a plain convolution, so its RGB stem cannot "
            "be folded for grey films; choose another backbone or set num_channels: 1 in encoder.config."
        )
    parent = backbone.get_submodule(name.rpartition(".")[0])
    setattr(parent, name.rpartition(".")[2], GreyStem(stem, mean, std))
    for module in backbone.modules():
        if getattr(module, "num_channels", None) == len(mean):
            module.num_channels = 1
