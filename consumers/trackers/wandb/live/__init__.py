"""The tracker `wandb-live`: runs at a W&B server while they train."""
