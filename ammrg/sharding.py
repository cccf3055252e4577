"""Fully sharded training (FSDP2): each process holds a part of the weights, their gradients and their moments."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method


def shard(module: nn.Module, layers: Iterable[nn.Module], mesh: DeviceMesh) -> None:
    """Shard a module's parameters over the second dimension of ``mesh`` (the devices of a node) and repeat them over
    the first (the nodes). Does nothing to a module that is sharded already.

    Args:
        layers: gathered, used and let go one at a time; all else stays gathered through a ``training_step``.
    """
    if isinstance(module, FSDPModule):
        return
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh)
    register_fsdp_forward_method(module, "training_step")


def gather(module: nn.Module) -> None:
    """Hold all weights on every process, which then exchanges nothing until :func:`scatter`. Does nothing to a module
    that is not sharded."""
    _hold(module, True)


def scatter(module: nn.Module) -> None:
    """Undo :func:`gather`: training goes on with parts."""
    _hold(module, False)


def _hold(module: nn.Module, whole: bool) -> None:
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_reshard_after_forward(not whole and part is not module, recurse=False)
            part.set_reshard_after_backward(not whole, recurse=False)
            part.set_requires_gradient_sync(not whole, recurse=False)
            part.unshard() if whole else part.reshard()
