"""Fully sharded training (FSDP2): each process holds a part of the weights, gradients and optimizer moments."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method


def shard(module: nn.Module, layers: Iterable[nn.Module], mesh: DeviceMesh) -> None:
    """Shard a module's parameters over the devices of a node, with a copy on each node.

    A module that is already sharded is left as it is.

    Args:
        module: what to shard.
        layers: parts of it whose weights are gathered, used and freed one at a time; all other weights stay gathered
            through a ``training_step``.
        mesh: two dimensions: nodes (copies), devices of a node (shards).
    """
    if isinstance(module, FSDPModule):
        return
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh)
    register_fsdp_forward_method(module, "training_step")


def gather(module: nn.Module) -> None:
    """Hold all weights on every process, so that processes exchange nothing until :func:`scatter`.

    A module that is not sharded is left as it is.
    """
    _hold(module, True)


def scatter(module: nn.Module) -> None:
    """Undo :func:`gather`: each process holds only its part again."""
    _hold(module, False)


def _hold(module: nn.Module, whole: bool) -> None:
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_reshard_after_forward(not whole and part is not module, recurse=False)
            part.set_reshard_after_backward(not whole, recurse=False)
            part.set_requires_gradient_sync(not whole, recurse=False)
            part.unshard() if whole else part.reshard()
