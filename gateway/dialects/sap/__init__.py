"""
SAP Data Intelligence's tracking SDK on the gateway (seed 003): `from gateway.dialects.sap import tracking`.

Where examples/sapdi is installed, programs import it as they do there: `from sapdi import tracking`.

- `tracking`: its functions. `scenarios`: those of `sapdi` itself. `objects`: what they take and return.
- `active`: the runs of this process. `source`: which notebook, pipeline or script starts them, in which scenario.
- `checks`: what may be logged. `selection`: which runs selectors mean. Both pure.
- `reading`: runs and histories. `deleting`: runs. `errors`: the one error.
"""

from gateway.dialects.sap.objects import Scenario
from gateway.dialects.sap.scenarios import get_current_scenario, list_scenarios

__all__ = ["Scenario", "get_current_scenario", "list_scenarios"]
