"""How Sphinx builds the site; `scripts/docs` runs it with every warning an error."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_sphinx"))

from registry_pages import write_pages

from llmsched_mip import __version__

project = "llmsched_mip"
author = "The llmsched_mip authors"
copyright = "the llmsched_mip authors, MIT licence"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "docstrings",
    "mathml",
]
exclude_patterns = ["_sphinx", "generated/api_table.md"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # Names in types and docstrings that have no page: shown, not linked.
suppress_warnings = ["ref.python"]  # Two pages describe things of one name, such as `build`: the first is linked.

myst_enable_extensions = ["dollarmath", "deflist", "colon_fence", "attrs_inline"]
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_show_tb = True
nb_merge_streams = True

autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autosummary_generate = False
napoleon_numpy_docstring, napoleon_google_docstring = True, False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
default_role = "py:obj"

html_theme = "furo"
html_math_renderer = "mathml"
html_title = f"llmsched_mip {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_search_summary = False  # Summaries are fetched page by page, which a browser refuses on files.
html_copy_source = html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0072b2", "color-brand-content": "#0072b2"},
    "dark_css_variables": {"color-brand-primary": "#56b4e9", "color-brand-content": "#56b4e9"},
}

write_pages(Path(__file__).parent / "generated")
