"""Fills the report of an audit. Finds nothing."""

from mien.audit import tables, text
from mien.audit.figures import draw
from mien.audit.near import LEAST, moves
from mien.audit.pictures import SIDE
from mien.audit.quality import BLURRED_BELOW
from mien.audit.result import Audit
from mien.files import write_csv
from mien.pages import render
from mien.pages.report import Report
from mien.text import quoted

PAGE, FINDINGS = "audit.html", "findings.csv"


def fill(report: Report, audit: Audit) -> None:
    """Draw the figures, write the numbers and the page."""
    draw(report, audit)
    data = tables.data(audit)
    report.write_numbers(data)
    write_csv(report.folder / FINDINGS, *tables.findings(audit).csv())
    info = audit.data.info
    html = render(
        "mien.audit",
        "report.html",
        title=f"The audit of {info.folder.resolve().name}",
        lead=text.lead(audit.data),
        conclusions=audit.conclusions,
        tables=tables.tables(audit, data),
        galleries=tables.galleries(audit),
        families=tables.largest_families(audit),
        drawn=report.figures,
        least=LEAST,
        blurred_below=BLURRED_BELOW,
        limited=audit.near.limited,
        moves=len(moves()) - 1,
        large=info.side > SIDE,
        about_cleaning=text.about_cleaning(audit.data, audit.dropped),
        folder=info.folder,
        fingerprint=info.fingerprint,
        command=_command(audit),
    )
    report.write_page(html)


def _command(audit: Audit) -> str:
    command = f"mien audit {quoted(audit.data.info.folder)} --out {quoted(audit.folder)}"
    command += (
        "".join(f" --predictions {quoted(path)}" for path in audit.doubts.tables) if audit.doubts else ""
    )
    if audit.dropped.folder is None:
        return command
    return f"{command} \\\n  --drop {quoted(audit.dropped.folder)} --kinds {','.join(audit.dropped.kinds)}"
