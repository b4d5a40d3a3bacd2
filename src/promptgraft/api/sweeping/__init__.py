"""Sweeps: every combination of some settings is tuned, here or on a Ray cluster."""

from promptgraft.api.sweeping.grid import Job, SweepConfig, jobs
from promptgraft.api.sweeping.sweep import Sweep, sweep
from promptgraft.api.sweeping.table import Mean, Row

__all__ = ["Job", "Mean", "Row", "Sweep", "SweepConfig", "jobs", "sweep"]
