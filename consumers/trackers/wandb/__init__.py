"""Weights & Biases: the tracker `wandb`, offline run files for `wandb sync`; live/ has the tracker `wandb-live`."""
