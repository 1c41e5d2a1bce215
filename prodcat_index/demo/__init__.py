"""The demo shop: a generated catalogue to try everything on, with its faults known."""

from prodcat_index.demo.folder import DemoSummary, make_demo_catalogue

__all__ = ["DemoSummary", "make_demo_catalogue"]
