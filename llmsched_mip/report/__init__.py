"""Reports and pictures: one self-contained page of studies and plans, tables, Gantt charts."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from llmsched_mip.report.calibration_chart import FIT_CHARTS, fit_chart
    from llmsched_mip.report.columns import Table
    from llmsched_mip.report.data import MOST_BARS, Report, read_report
    from llmsched_mip.report.formats import WRITERS, csv_text, data_columns
    from llmsched_mip.report.gantt import gantt_document
    from llmsched_mip.report.gantt_svg import gantt_svg
    from llmsched_mip.report.page import gantt_page, report_page
    from llmsched_mip.report.size_chart import SIZE_CHARTS, size_chart
    from llmsched_mip.report.sources import require_plan_and_instance
    from llmsched_mip.report.tables import all_tables

    __all__ = [
        "FIT_CHARTS",
        "MOST_BARS",
        "SIZE_CHARTS",
        "WRITERS",
        "Report",
        "Table",
        "all_tables",
        "csv_text",
        "data_columns",
        "fit_chart",
        "gantt_document",
        "gantt_page",
        "gantt_svg",
        "read_report",
        "report_page",
        "require_plan_and_instance",
        "size_chart",
    ]
else:
    __getattr__, __dir__, __all__ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "calibration_chart": ["FIT_CHARTS", "fit_chart"],
            "data": ["MOST_BARS", "Report", "read_report"],
            "formats": ["WRITERS", "csv_text", "data_columns"],
            "gantt": ["gantt_document"],
            "gantt_svg": ["gantt_svg"],
            "page": ["gantt_page", "report_page"],
            "size_chart": ["SIZE_CHARTS", "size_chart"],
            "sources": ["require_plan_and_instance"],
            "columns": ["Table"],
            "tables": ["all_tables"],
        },
    )
