"""Pages are opened in a browser too."""

from browser import page, pytest_runtest_makereport  # noqa: F401  (a fixture and a hook)
