"""
Who may use our web servers, and for what: the query API with its pages, ingest with the artifact door, MLflow door.

- `origins`: what a web page of another site sends. `identity`: who asks, with which scopes and experiments.
- `tokens`: a token, its text and its file. `token_file`: the tokens in force, read again when the file changes.
- `sessions`: the signed cookie of a login, and its CSRF value. `needs`: the table of what each route needs.
- `credentials`: from the headers of a request to an identity. `limits`: rates. `cors`: pages of allowed origins.
- `guard`: the ASGI middleware that puts these together.

No module of this folder imports a web framework. docs/security.md has the threat model.
"""
