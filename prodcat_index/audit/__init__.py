"""Checks of a catalogue and of a delivery: what is wrong with them, worst first."""
