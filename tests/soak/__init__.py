"""The soak: random operations on an embedded cluster, and what must hold whatever they are.

python -m tests.soak [--minutes M] [--seed N]
"""
