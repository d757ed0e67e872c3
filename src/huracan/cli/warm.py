"""Compile every kernel into the user's private cache, so that the first night and first prediction do not pay for it."""

from importlib import import_module

MODULES = ("huracan.stats.warm",)


def main() -> None:
    """Run each room's kernels once on tiny arrays of the real types."""
    for name in MODULES:
        import_module(name).warm()


if __name__ == "__main__":
    main()
