"""What an index is worth on cards that it has not seen, beside other ways to categorize."""
