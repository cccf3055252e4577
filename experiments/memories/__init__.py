"""Memory banks: printed, checked, extended, measured, and studies withdrawn from them."""
