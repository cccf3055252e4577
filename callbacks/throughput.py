"""Measures how fast training is and how long it waits for data.

The numbers go to ``throughput.csv`` instead of metrics.csv, so that equal runs have equal metrics.csv files.
"""

from __future__ import annotations

import csv
import resource
import time
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.throughput import get_available_flops
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

COLUMNS = (
    "step",
    "studies_per_s",
    "tokens_per_s",
    "loader_wait",
    "memory_gib",
    "tflop_per_s",
    "flop_utilisation",
)


class Throughput(Callback):
    """Writes throughput numbers over the batches between two logged steps, for all processes together.

    - ``studies_per_s``: studies a second.
    - ``tokens_per_s``: tokens a second (``pl_module.tokens``: film tokens in stage 1, report tokens in stage 2).
    - ``loader_wait``: share of time, in [0, 1], spent waiting for the data loader.
    - ``memory_gib``: peak GPU memory in GiB; without a GPU, peak memory of the process.
    - ``tflop_per_s``: TFLOP a second of matrix products and convolutions, forward and backward, as counted in the first
      batch and scaled by studies. Kernels that torch cannot see into (4-bit products of one row) are not counted.
    - ``flop_utilisation``: share of the GPU's published peak in this precision; empty if it is unknown (CPUs).
    """

    def __init__(self) -> None:
        self.flop_of_study: float | None = None
        self.counter: FlopCounter | None = None
        self.restart()

    def state_dict(self) -> dict[str, Any]:
        """The FLOP count of a study; a resumed run takes it over, so that counting does not change its steps."""
        return {"flop_of_study": self.flop_of_study}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the FLOP count of a study."""
        self.flop_of_study = state_dict["flop_of_study"]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a new window, so that validation and saving between epochs do not count."""
        self.restart()

    def restart(self) -> None:
        """Start a new window: the batches over which the numbers are averaged."""
        self.studies = self.tokens = 0
        self.waited = self.worked = 0.0
        self.mark = time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Count the time since the last batch as waiting; at the first step, start the FLOP counter."""
        now = time.perf_counter()
        self.waited += now - self.mark
        self.mark = now
        if trainer.global_step == 0 and self.flop_of_study is None:
            self.counter = FlopCounter()
            self.counter.__enter__()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch, and write the window's numbers if it is full."""
        size = len(batch.study_ids)
        if self.counter is not None:
            self.counter.__exit__(None, None, None)
            self.flop_of_study = self.counter.total / size
            self.counter = None
            self.restart()  # counting is slow, so the first batch belongs to no window
            return
        now = time.perf_counter()
        self.worked += now - self.mark
        self.mark = now
        self.studies += size
        self.tokens += int(getattr(pl_module, "tokens", 0))
        if (batch_idx + 1) % trainer.log_every_n_steps == 0 or batch_idx + 1 >= trainer.num_training_batches:
            if trainer.is_global_zero and self.studies:
                self.write(trainer, self.measured(trainer))
            self.restart()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remove the FLOP counter, if one is active."""
        if self.counter is not None:
            self.counter.__exit__(None, None, None)
            self.counter = None

    def measured(self, trainer: Trainer) -> dict[str, float]:
        """The window's numbers by column; unknown ones are left out."""
        seconds, world = self.waited + self.worked, trainer.world_size
        device = trainer.strategy.root_device
        found = {
            "step": float(trainer.global_step - 1),
            "studies_per_s": self.studies * world / seconds,
            "loader_wait": self.waited / seconds,
            "memory_gib": peak_memory(device),
        }
        if self.tokens:
            found["tokens_per_s"] = self.tokens * world / seconds
        if self.flop_of_study:
            rate = self.flop_of_study * self.studies / seconds
            found["tflop_per_s"] = rate * world / 1e12
            dtype = torch.bfloat16 if "bf16" in str(trainer.precision) else torch.float32
            dtype = torch.float16 if str(trainer.precision) == "16-mixed" else dtype
            peak = get_available_flops(device, dtype) if device.type == "cuda" else None
            if peak:
                found["flop_utilisation"] = rate / peak
        return found

    def write(self, trainer: Trainer, found: dict[str, float]) -> None:
        """Append a row to throughput.csv, and send the numbers to all loggers but the CSV logger."""
        path = Path(trainer.default_root_dir) / "throughput.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if fresh:
                writer.writeheader()
            writer.writerow({name: f"{value:.6g}" for name, value in found.items()})
        sent = {f"throughput/{name}": value for name, value in found.items() if name != "step"}
        for logger in trainer.loggers:
            if not isinstance(logger, CSVLogger):
                logger.log_metrics({**sent, "trainer/global_step": found["step"]})


class FlopCounter(TorchDispatchMode):
    """Counts FLOPs by torch's own formulas for each operation.

    torch's ``FlopCounterMode`` splits fused operations to count them, which changes the last bits of their results.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation unchanged, and add its FLOPs."""
        out = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            self.total += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


def peak_memory(device: torch.device) -> float:
    """Peak memory in GiB: of the GPU's allocations, or of the process if the device is no GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
