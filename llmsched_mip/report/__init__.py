"""Reports and pictures: one self-contained page of studies and plans, tables, Gantt charts."""

from llmsched_mip.report.data import Report, read_report
from llmsched_mip.report.gantt import gantt_document
from llmsched_mip.report.gantt_svg import gantt_svg
from llmsched_mip.report.page import gantt_page, report_page
from llmsched_mip.report.tables import Table, all_tables

__all__ = [
    "Report",
    "Table",
    "all_tables",
    "gantt_document",
    "gantt_page",
    "gantt_svg",
    "read_report",
    "report_page",
]
