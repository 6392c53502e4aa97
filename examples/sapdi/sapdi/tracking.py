"""The functions of `sapdi.tracking`: those of `gateway.dialects.sap.tracking`."""

from gateway.dialects.sap import tracking
from gateway.dialects.sap.tracking import *  # noqa: F403 -- the same names, whatever they are

__all__ = tracking.__all__
