"""``python -m prodcat_index`` is ``prodcat``."""

from prodcat_index.cli import main

if __name__ == "__main__":
    main()
