"""Pages: self-contained HTML from the templates beside this file. Most templates extend `page.html.jinja2`."""

from typing import Any

import jinja2

from seer_tf.quantities import counted, percent
from seer_tf.reports.pictures import data_uri


def render_page(template: str, **values: Any) -> str:
    """Returns a self-contained page, with styles, images and charts and without scripts.

    Args:
        template: Name of a template beside this file.
        **values: Values for the template.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("seer_tf.reports", package_path=""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"data_uri": data_uri, "percent": percent, "counted": counted}
    return environment.get_template(template).render(**values)
