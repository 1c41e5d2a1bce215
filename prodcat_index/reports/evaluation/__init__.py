"""The report of an index: what it is worth on cards that it has not seen, as a page."""

from prodcat_index.reports.evaluation.report import Report, report
from prodcat_index.reports.evaluation.writing import write_report

__all__ = ["Report", "report", "write_report"]
