"""Training runs that fail, with the reason, and healthy ones that look odd."""

from . import healthy, scales, second, second_healthy, steps, targets

FAILURES = [case for family in (steps, scales, targets, second) for case in family.CASES]
HEALTHY = [*healthy.CASES, *second_healthy.CASES]
