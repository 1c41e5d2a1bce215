"""Cards: reading, cleaning, groups of near-duplicates, splits."""
