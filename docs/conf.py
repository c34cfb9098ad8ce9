"""The site's configuration for Sphinx: `make site` builds it from these pages and from the package itself."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import generated
from sphinx.application import Sphinx

from mien import __version__

project = "mien"
author = "the authors of mien"
project_copyright = "the authors of mien, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
nitpicky = False  # types of other packages have no page here
default_role = "code"
smartquotes = False
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"

html_theme = "furo"
html_title = f"mien {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"sidebar_hide_name": False}


def _link_to_copies(app: Sphinx, name: str, source: list[str]) -> None:
    """Have links to what lies beside docs/ lead to its copy on the site."""
    for page, file in generated.COPIED.items():
        source[0] = re.sub(rf"\]\((?:\.\./)+{re.escape(file)}", f"](/project/{page}.md", source[0])


REACHABLE = {  # what scrolls can be reached with the keyboard; a heading says its level
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
    "<pre>": '<pre tabindex="0">',
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
}


def _make_reachable(app: Sphinx, name: str, template: str, context: dict, doctree: object) -> None:
    """Mend what Sphinx and the theme leave out for keyboards and screen readers."""
    for part in ("body", "furo_navigation_tree"):
        for before, after in REACHABLE.items():
            context[part] = context.get(part, "").replace(before, after)


def setup(app: Sphinx) -> None:
    """Write the pages that are made from the package before Sphinx looks for pages."""
    app.connect("builder-inited", lambda app: generated.write(Path(app.srcdir)))
    app.connect("source-read", _link_to_copies)
    app.connect("html-page-context", _make_reachable, priority=900)
