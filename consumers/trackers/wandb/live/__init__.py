"""
The tracker `wandb-live`: runs at a W&B server while they train.

- `tracker`: delivers rows and lets the server count them. `translate`: rows with the same numbers however they are
  cut.
- `backend`: queries the server by GraphQL. `sdk`: opens W&B's SDK for one delivery.
"""
