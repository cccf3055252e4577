"""What a command loads before its first word."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("program", ["ammrg.__main__", "experiments.__main__"])
def test_4_bit_weights_are_read_without_the_compiler_of_torch(program: str) -> None:
    words = f"import sys, {program}, bitsandbytes; print(*(name for name in sys.modules if 'inductor' in name))"
    environment = {key: value for key, value in os.environ.items() if key != "TORCHDYNAMO_DISABLE"}
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "torch._inductor.compile_fx" not in loaded
