"""SAP Data Intelligence's `sapdi` on tracking-gateway: see docs/sap.md of tracking-gateway."""

try:
    from gateway.dialects.sap import Scenario, get_current_scenario, list_scenarios
except ImportError as error:
    raise ImportError(
        f"sapdi of tracking-gateway-sapdi needs tracking-gateway ({error}): "
        "install it in this environment, `pip install ./gateway` in its repository"
    ) from error
from sapdi import tracking

__all__ = ["Scenario", "get_current_scenario", "list_scenarios", "tracking"]
