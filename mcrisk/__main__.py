"""`python -m mcrisk` is `mcrisk`."""

from mcrisk.cli.app import main

if __name__ == "__main__":
    main()
