"""Films: from any file to 8-bit grey, and the transforms of training and evaluation."""
