"""Many runs from one command: ablations, sweeps and Slurm jobs."""
