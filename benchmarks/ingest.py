"""
From emit to queryable: throughput and lag of the whole system on this machine, compared with other trackers.

    python benchmarks/ingest.py --quick --peers none     # a smoke test, about a minute
    python benchmarks/ingest.py --write-docs             # everything, at most 12 minutes

Real Kafka, real PostgreSQL, the materialiser and training processes, all on this machine. docs/benchmarks.md explains
how each figure is measured. What cannot be measured is listed with the reason, and the rest continues.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Coroutine
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, TypeVar

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tree this file belongs to, whatever is installed

import asyncpg  # noqa: E402

from benchmarks.catalogue import INGEST_PEERS, OURS, Peer  # noqa: E402
from benchmarks.contestants import options, report  # noqa: E402
from benchmarks.environments import Missing, python_of  # noqa: E402
from benchmarks.flow import Load, Pace, measure_pace, watch  # noqa: E402
from benchmarks.growth import measure_growth  # noqa: E402
from benchmarks.history.keeping import keep  # noqa: E402
from benchmarks.ingest_tables import Bulk, Found, ingest_figures, ingest_tables  # noqa: E402
from benchmarks.machine import caption, command_of, describe, load  # noqa: E402
from benchmarks.processes import measure, scratch  # noqa: E402
from benchmarks.reference import reference_us  # noqa: E402
from benchmarks.system import System, create_database, running_system  # noqa: E402
from benchmarks.table import replaced  # noqa: E402
from schemas.errors import TrackingError  # noqa: E402

DOCS = ROOT / "docs/benchmarks.md"
T = TypeVar("T")
SIZES = """
    SELECT sum(pg_total_relation_size(oid)) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""


class Plan(NamedTuple):
    """Sizes and time limits of a run."""

    seconds: float  # of each of the two loads
    settle_s: float  # until a load has reached its speed
    bulk_points: int  # for us and for each peer
    peer_s: float  # limit for logging to a peer, and again for reading from it
    most_s: float  # limit for everything


FULL = Plan(seconds=38.0, settle_s=5.0, bulk_points=100_000, peer_s=60.0, most_s=700.0)
QUICK = Plan(seconds=8.0, settle_s=2.0, bulk_points=5_000, peer_s=10.0, most_s=115.0)
START_S = 45.0  # for a tool to be imported and to create its database
STEADY_POINTS_PER_S, STEADY_PROCESSES = 50_000.0, 64


def main() -> None:
    """Measure and print; write docs/benchmarks.md with --write-docs."""
    parser = options("Measure from emit to queryable, with all parts on this machine.", INGEST_PEERS)
    parser.add_argument("--quick", action="store_true", help="small sizes, as a smoke test")
    parser.add_argument("--producers", type=int, default=2, help="processes that emit at full speed")
    asked = parser.parse_args()
    plan = QUICK if asked.quick else FULL
    before, reference = load(), reference_us()
    with scratch() as name:
        run = Run(Path(name), plan, asked.producers, asked.cache)
        found = run.everything(asked.peers, quick=asked.quick)
    command = command_of("python benchmarks/ingest.py", sys.argv[1:])
    facts = describe(command, asked.peers, (before, load()), monotonic() - run.began)
    content = f"{ingest_tables(found, run.missing, OURS)}\n\n{caption(facts)}"
    print(json.dumps(_plain(found, facts, run.missing), indent=1) if asked.json else content)
    if asked.write_docs:
        DOCS.write_text(replaced(DOCS.read_text(encoding="utf-8"), "ingest", content), encoding="utf-8")
    keep(asked.keep, facts, ingest_figures(found, OURS, reference))
    raise SystemExit(0 if found.full and found.steady else 1)


class Run:
    """One run of this benchmark: measures everything in order, and collects what could not be measured."""

    def __init__(self, folder: Path, plan: Plan, producers: int, cache: Path) -> None:
        self._folder, self._plan, self._producers, self._cache = folder, plan, producers, cache
        self.began = monotonic()
        self._until = self.began + plan.most_s
        self.missing: dict[str, str] = {}

    def everything(self, peers: list[Peer], *, quick: bool) -> Found:
        """Return all figures; `missing` says why the others could not be measured."""
        pythons = {peer: self._python(peer) for peer in peers if peer.environment}
        found = Found()
        try:
            self.began = monotonic()  # installing does not count
            self._until = self.began + self._plan.most_s
            report("starting Kafka, PostgreSQL and the materialiser")
            with running_system(self._folder / "system") as system:
                found = self._loads(system, found)
                if grown := self._tried("growth and charts", _grow(system, quick, self._until)):
                    found = found._replace(growths=grown[0], charts=grown[1])
                return found._replace(bulks=self._bulks(system, peers, pythons))
        except (Missing, TrackingError, OSError) as error:
            self.missing["the system"] = str(error)
            return found

    def _python(self, peer: Peer) -> Path | None:
        try:
            return python_of(peer, self._cache)
        except Missing as error:
            self.missing[peer.name] = str(error)
            return None

    def _loads(self, system: System, found: Found) -> Found:
        plan = self._plan
        sizes = asyncio.run(_sizes(system))
        report(f"full speed, {self._producers} processes, {plan.seconds:.0f} s")
        full = self._tried("sustained speed", self._pace(system, Load("full", self._producers, plan.seconds)))
        if full:
            after = asyncio.run(_sizes(system))
            grown = [(late - early) / full.points for early, late in zip(sizes, after, strict=True)]
            found = found._replace(full=full, store_bytes=grown[0], log_bytes=grown[1])
        report(f"steady, {STEADY_PROCESSES} processes, {plan.seconds:.0f} s")
        steady = Load("steady", STEADY_PROCESSES, plan.seconds, rate=STEADY_POINTS_PER_S)
        return found._replace(steady=self._tried("lag under steady load", self._pace(system, steady)))

    async def _pace(self, system: System, wanted: Load) -> Pace:
        return await measure_pace(system, wanted, self._folder / "producers", report, settle_s=self._plan.settle_s)

    def _bulks(self, system: System, peers: list[Peer], pythons: dict[Peer, Path | None]) -> list[Bulk]:
        found = []
        for peer in peers:
            report(f"{self._plan.bulk_points:,} points: {peer.name}")
            if peer.name == OURS:
                ours = self._tried(OURS, self._bulk_of_ours(system, peer))
                found += [ours] if ours else []
            elif python := pythons[peer]:
                try:
                    found.append(self._bulk_of(system, peer, python))
                except (Missing, asyncpg.PostgresError, OSError) as error:
                    self.missing[peer.name] = str(error)
        return found

    async def _bulk_of_ours(self, system: System, peer: Peer) -> Bulk:
        points = self._plan.bulk_points
        wanted = Load("bulk", 1, 60.0, points=points, window=points)
        flow = await watch(system, wanted, self._folder / "producers", report)
        return Bulk(peer.name, flow.points, (flow.seen[-1][0] - flow.began_ns) / 1e9, peer.durable)

    def _bulk_of(self, system: System, peer: Peer, python: Path) -> Bulk:
        if self._until - monotonic() < self._plan.peer_s / 2:
            raise Missing("no time left")
        plan = self._plan
        address = asyncio.run(create_database(system.store, peer.name)) if peer.server == "postgres" else ""
        wanted = {"points": plan.bulk_points, "most_s": plan.peer_s, "wait_s": plan.peer_s}
        found = measure(
            peer,
            python,
            "ingest",
            folder=self._folder / peer.name,
            address=address,
            timeout_s=3 * plan.peer_s,
            **wanted,
        )
        return Bulk(peer.name, found["points"], found["queryable_s"], peer.durable)

    def _tried(self, what: str, work: Coroutine[Any, Any, T]) -> T | None:
        try:
            if monotonic() > self._until:
                work.close()
                raise Missing("no time left")
            return asyncio.run(work)
        except (Missing, TrackingError, ValueError, OSError, asyncpg.PostgresError) as error:
            self.missing[what] = f"{error or type(error).__name__}"
            return None


async def _sizes(system: System) -> tuple[int, int]:
    """Return the bytes in PostgreSQL and in Kafka."""
    connection = await asyncpg.connect(system.store)
    try:
        return int(await connection.fetchval(SIZES)), system.log_bytes()
    finally:
        await connection.close()


async def _grow(system: System, quick: bool, until: float) -> tuple[Any, Any]:
    dsn = await create_database(system.store, "growth")
    return await measure_growth(dsn, quick=quick, until=until, report=report)


def _plain(found: Found, facts: dict[str, Any], missing: dict[str, str]) -> dict[str, Any]:
    """Return all figures as a JSON object."""
    figures = found._asdict()
    for name in ("full", "steady"):
        figures[name] = figures[name] and figures[name]._asdict()
    figures["growths"] = [{**one._asdict(), "slope": one.slope} for one in found.growths]
    figures["charts"] = [one._asdict() for one in found.charts]
    figures["bulks"] = [{**one._asdict(), "points_per_s": one.points_per_s} for one in found.bulks]
    return {"machine": facts, "figures": figures, "missing": missing}


if __name__ == "__main__":
    main()
