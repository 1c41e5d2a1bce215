"""From neighbours to categories."""
