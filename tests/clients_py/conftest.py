"""The fixtures of this suite are those that all suites of clients share."""

pytest_plugins = ["stores"]
