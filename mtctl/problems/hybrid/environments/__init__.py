"""Environments with hybrid actions; importing this package registers them with gymnasium as `mtctl/…`."""

from mtctl.problems.hybrid.environments.registration import register

register()
