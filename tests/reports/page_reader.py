"""Reads a page as a browser does, and collects its content."""

import html.parser


class PageReader(html.parser.HTMLParser):
    """Checks that elements nest correctly, and collects sources and text."""

    def __init__(self) -> None:
        """Creates a reader at the start of a page."""
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Collects the sources that an element fetches."""
        named = dict(attributes)
        if tag == "img":
            self.images.append(named)
        self.links += [value for name, value in attributes if value and (name == "src" or name.endswith("href"))]
        assert tag not in ("script", "link", "iframe", "object")
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Collects the links of an element in the chart. The links may only point into the chart."""
        self.links += [value for name, value in attributes if value and name.endswith("href")]

    def handle_endtag(self, tag: str) -> None:
        """Closes the last open element."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collects text."""
        self.text += data


def read_page(page: str) -> PageReader:
    """Returns a reader that has read the whole page.

    Raises:
        AssertionError: An element is not closed, or would run or fetch something.
    """
    reader = PageReader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader
