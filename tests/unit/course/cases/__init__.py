"""What each claim must pass, fail and leave open: one module per notebook, as the claims have.

Each module has CASES, number -> (data that bear the claim out, data that contradict it), and
UNDECIDED, number -> data that say nothing; data are the arguments of the claim.
"""

from importlib import import_module
from pkgutil import iter_modules

CASES, UNDECIDED = {}, {}
for _module in iter_modules(__path__):
    _cases = import_module(f"{__name__}.{_module.name}")
    CASES |= getattr(_cases, "CASES", {})
    UNDECIDED |= getattr(_cases, "UNDECIDED", {})
