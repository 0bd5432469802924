"""[main process] Starts, watches and replaces everything else."""
