"""The kill sweep: at random points of a lesson something is killed; nothing may be left of it.

python -m tests.sweep [--rounds N] [--seed N]
"""
