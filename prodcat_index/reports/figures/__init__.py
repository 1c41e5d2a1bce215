"""Figures for people, as PNG or JPEG."""
