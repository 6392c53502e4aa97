"""Weights & Biases: offline run files for `wandb sync`, and a server, live."""
