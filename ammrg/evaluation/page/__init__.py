"""report.html: one self-contained page of a system's scores and studies."""
