"""
The tracker `mlflow`: runs on an MLflow server, or in MLflow's own database.

- `tracker`: the class. `translate`: envelopes into MLflow's values in one pass, with `metrics`, `params`, `tags` and
  `param_conflicts`. `mapping_state`: what is kept between calls. `read`: what its pages show. `edits`: deletes,
  renames and the trash.
- `backend`: what both backends can do. `rest_backend`: a server, with `requests` (calls of 1,000 rows) and
  `responses` (their meaning). `database/`: its database. `address`: which of the two.
"""
