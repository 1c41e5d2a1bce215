"""From values to unit rows: the contract, the registry, and the encoders."""
