"""From values to unit rows: the encoder contract, the registry, the encoders and their cache."""
