"""
Call a tracker, and record the intent and the result of each call.

- `dispatcher`: which calls run now. `calls`: one call, from intent to result. `invoke`: hands envelopes to the
  plug-in and says how many are in doubt. `checkpoints`: writes the rows of many runs in one statement.
- `orders`: carries out what people ordered with `gateway trackers` (`consumers/store/delivery/orders.py`).
"""
