"""Models of one's own for the gallery: the examples, healthy, and with faults that users make.

A case is a recipe of kind `python` whose function is `builder.build`: it builds one of the examples, or one
of the models of `models.py`, and plants faults of `plants.py` in what it returns.
"""
