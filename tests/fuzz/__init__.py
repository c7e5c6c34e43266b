"""Hostile input by the million: every parser of bytes from outside may refuse them, and may do nothing else.

`python -m tests.fuzz` (`make fuzz`) runs it at length; test_fuzz.py for a few seconds.
"""
