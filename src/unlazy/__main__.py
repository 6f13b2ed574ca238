"""``python -m unlazy``."""

from unlazy.cli import main

if __name__ == "__main__":
    main()
