"""Plain ``nn.Module`` networks, one idea per file. None of them knows Lightning."""
