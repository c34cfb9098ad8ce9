"""The shell of every HTML page and the look of every figure. Knows nothing about runs or networks.

`render` fills a room's template, which extends `shell.html`; figures come from `pages.figures`.
A page is one file: style, figures and pictures stand in it, and its content policy forbids
every request.
"""

from typing import Any

from markupsafe import Markup

from mien import __version__
from mien.text import decimal, joined, p_value, percent, points, thousands


def render(package: str, template: str, **context: Any) -> str:
    """Return the HTML of a template that lies in `package` (such as "mien.compare").

    Text in `context` is escaped unless it is a `markupsafe.Markup`. A name that the template
    uses and `context` lacks is a `jinja2.UndefinedError`. The template's `heading(anchor, name)` puts a section
    into the contents, too.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    from mien.pages.theme import css_variables

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, "."), PackageLoader("mien.pages", ".")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent, points=points, decimal=decimal, thousands=thousands, joined=joined, p_value=p_value
    )
    sections: list[tuple[str, str]] = []

    def heading(anchor: str, name: str) -> Markup:
        sections.append((anchor, name))
        return Markup('<h2 id="{}">{}</h2>').format(anchor, name)

    common = {
        "colors": css_variables(),
        "version": __version__,
        "command_name": package.replace(".", " "),
        "sections": sections,
        "heading": heading,
    }
    return environment.get_template(template).render(common | context)
