"""
Call a tracker, and record the intent and the result of each call.

- `dispatcher`: the calls under way, and which come next. `calls`: one call, from intent to result. `invoke`: passes
  envelopes to the plug-in, with the number of those in doubt. `checkpoints`: writes the rows of many runs at once.
- `orders`: follows what people ordered with `gateway trackers` (`consumers/store/delivery/orders.py`).
"""
