"""Training runs that fail, with the reason, and healthy ones that look odd."""

from . import healthy, scales, steps, targets

FAILURES = [case for family in (steps, scales, targets) for case in family.CASES]
HEALTHY = list(healthy.CASES)
