"""Benchmarks: `make bench`, or `python -m tests.bench [NAME ...]` for some of them.

Every module here with a function `bench() -> Iterable[Row]` is one; its name is the module's, its
docstring says what it measures. Bigger tools that benches share live in `tests/tools`.
"""
