"""Exploratory analysis of a catalogue."""

from prodcat_index.reports.exploration.exploration import Exploration, explore
from prodcat_index.reports.exploration.writing import write_exploration

__all__ = ["Exploration", "explore", "write_exploration"]
