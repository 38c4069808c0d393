"""`python -m mtctl`: the same as the `mtctl` command."""

from mtctl.cli.app import main

if __name__ == "__main__":
    main()
