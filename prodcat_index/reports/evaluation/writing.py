"""Writing a report: one page that needs nothing beside it."""

from __future__ import annotations

from pathlib import Path

from prodcat_index.reports.evaluation.drawing import draw_report
from prodcat_index.reports.evaluation.report import Report
from prodcat_index.reports.evaluation.tables import in_words, tabulate
from prodcat_index.reports.figures.evaluation import coverage_at
from prodcat_index.reports.pages.page import render_page, write_file

PAGE = "report.html"
CONTENTS = {
    "made": "What was evaluated",
    "scores": "Scores",
    "confidence": "Confidence",
    "sizes": "By the size of the category",
    "tree": "In the tree of categories",
    "confusions": "Worst confusions",
    "review": "Least sure answers",
    "tuning": "Tuning",
}


def write_report(report: Report, file: str | Path) -> Path:
    """Write a report into an HTML file with all pictures inside.

    Parameters
    ----------
    report
        What was found.
    file
        Is replaced if it is there; its folder is created if it is not.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ProdcatError
        When it cannot be written.
    """
    drawings, tables = draw_report(report), tabulate(report)
    there = {"tree": tables.hierarchy, "tuning": drawings.tuning}
    page = render_page(
        PAGE,
        title=f"Report on {Path(report.evaluation.catalogue.source).name}",
        contents={id: h for id, h in CONTENTS.items() if there.get(id, True) is not None},
        found=report,
        evaluation=report.evaluation,
        drawn=drawings,
        tables=tables,
        coverage=coverage_at(report.curve, report.precision),
        in_words=in_words,
    )
    write_file(Path(file), page)
    return Path(file)
