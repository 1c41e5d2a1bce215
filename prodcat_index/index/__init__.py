"""Blocks, fusion, search, the index folder, and ProductIndex."""
