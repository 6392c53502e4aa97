"""Trackers of a trackers file, two of them of one type: delivered by processes, verified by `gateway verify`."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from contextlib import ExitStack

from tests.support.delivery_process import Place, delivery
from tests.support.edge_case_runs import edge_case_envelopes
from tests.support.gateway_command import gateway_with
from tests.support.log_author import Author, write
from tests.support.materialiser_process import materialiser, until_folded

NAMES = ("archive", "second", "boards", "local")
TRACKERS = """
[archive]
type = "parquet"
config = {{folder = "{folder}/archive"}}

[second]
type = "parquet"
config = {{folder = "{folder}/second"}}

[boards]
type = "tensorboard"
config = {{folder = "{folder}/boards"}}

[local]
type = "trackio"
config = {{folder = "{folder}/local"}}
"""


async def test_every_tracker_of_the_file_is_verified_after_a_kill(place: Place) -> None:
    defined = place.folder / "trackers.toml"
    defined.write_text(TRACKERS.format(folder=place.folder))
    variables = {"GATEWAY_TRACKERS_FILE": str(defined), "GATEWAY_TRACKERS": json.dumps(NAMES)}
    author = Author("second run")
    envelopes = [
        *edge_case_envelopes("odd 😀/run"),
        author.start(),
        author.metrics("loss", [3.0, 2.0]),
        author.finish(),
    ]
    await write(place.kafka, place.topic, envelopes)

    with materialiser(place.folder, place.variables()):
        with ExitStack() as stack:
            running = [stack.enter_context(delivery(place, name, variables)) for name in NAMES]
            for one in running:
                one.kill(signal.SIGKILL)
        late = [author.metrics("loss", [1.0, 0.5], first_step=2)]
        await write(place.kafka, place.topic, late)
        await until_folded(place.database, place.topic, len(envelopes + late))
        with ExitStack() as stack:
            for name in NAMES:
                stack.enter_context(delivery(place, name, variables))
            verified = await asyncio.to_thread(verify, place, variables)

    facts = json.loads(verified.stdout)
    assert (verified.returncode, facts["differences"]) == (0, []), verified.stderr
    places = facts["places"]
    assert [places[name] for name in NAMES] == [places["postgresql"]] * len(NAMES)
    assert places["postgresql"]["runs"] == 2


def verify(place: Place, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return gateway_with(place.variables() | variables, "verify", "--wait", "60", "--json")
