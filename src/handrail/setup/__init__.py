"""From a clone to a working machine: what ``inv setup`` does, step by step, as often as one likes.

Each step looks first and changes only what is missing, so a second run takes a second or two.
"""
