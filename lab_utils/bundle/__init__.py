"""The offline classroom: everything of the lab in one file, made where there is internet.

`archive` the file and its checksums, `make` what goes in, `load` what becomes of it elsewhere.
"""
