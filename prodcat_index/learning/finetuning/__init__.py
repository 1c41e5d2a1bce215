"""Encoders trained on a catalogue, so that the nearest cards are of the same category."""
