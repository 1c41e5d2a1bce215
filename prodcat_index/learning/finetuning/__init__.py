"""Encoders trained on a catalogue: a linear layer is put back, and taken away again at the end."""
