"""mtctl: find out why one task of a multi-task model does not learn, train the cure, prove the difference."""

__version__ = "0.1.0"
