"""
Experiments and registered models: requests to change them, and reads. gateway/experiments.py and gateway/models.py are
what users call; people's commands and other APIs call them too.

- `requests`: write one request to the log and wait for what became of it. `outcomes`: an error for each refusal.
- `connection`: where to write and to read, and one read. `arguments`: names, texts and tags that an event can hold.
- `saved`: views and alert rules. `results`: what the calls return. `model_uri`: `models:/name/3`.
"""
