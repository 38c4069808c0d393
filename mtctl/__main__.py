"""`python -m mtctl`: the same as the `mtctl` command."""

from mtctl.cli.app import main
from mtctl.engine.launch.lifeline import follow_parent

if __name__ == "__main__":
    follow_parent()
    main()
