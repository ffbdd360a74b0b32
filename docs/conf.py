"""How `make docs` builds these pages; nothing is fetched from anywhere."""

import oodbench

project = "oodbench"
version = release = oodbench.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
autodoc_preserve_defaults = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
napoleon_use_ivar = True
html_theme = "furo"
html_title = f"oodbench {version}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
# Blocks without a language are command lines, and `names` in docstrings are code.
highlight_language = "bash"
default_role = "code"
