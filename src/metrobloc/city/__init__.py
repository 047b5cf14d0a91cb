"""One folder per application; adding one touches nothing else."""
