"""The demo shop: a generated catalogue to try everything on, with its faults known."""
