"""Reads a page as a browser would, and notes what is on it."""

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Reader(HTMLParser):
    """Notes tags, attributes and texts, and checks that every element is closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def holds_everything(self):
        """Checks that nothing comes from elsewhere."""
        for name, value in self.attributes:
            assert name not in ("src", "srcset", "data", "action", "onclick", "onload")
            if name in ("href", "xlink:href"):
                assert value.startswith(("#", "data:image/png;base64,"))
            if name == "style":
                assert "url(" not in value.replace("url(#", "")
        assert "@import" not in self.html
        assert "link" not in self.tags
