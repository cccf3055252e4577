"""Plain ``nn.Module`` networks, one idea a file. None of them knows Lightning."""
