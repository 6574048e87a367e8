"""The fixtures of this suite are those of `stores`, which tests/applications uses as well."""

pytest_plugins = ["stores"]
