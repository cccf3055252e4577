"""An HTTP service that describes studies: uploads read within limits, batched, and answered as JSON."""
