"""
A live chart in marimo: `pip install "tracking-gateway[local,notebook]" marimo`, `gateway up`,
`marimo edit live_chart.py`.

RUN in the environment names a run to watch; without it the notebook trains one.
"""

import marimo

app = marimo.App()


@app.cell
def _():
    import os

    import gateway

    watched = os.environ.get("RUN")
    run = None if watched else gateway.start_run(name="marimo", params={"lr": 0.1})
    return gateway, run, watched


@app.cell
def _(gateway, run, watched):
    chart = gateway.chart(watched or run, regex="loss$")
    chart  # noqa: B018 -- what a cell ends with is shown


@app.cell
def _(run):
    import math
    import time

    if run is not None:
        for step in range(600):
            run.emit("loss", math.exp(-step / 150) + 0.02 * math.sin(step), step=step)
            run.emit("val/loss", 1.1 * math.exp(-step / 150), step=step)
            time.sleep(0.05)
        run.finish()


if __name__ == "__main__":
    app.run()
