"""What an alteration is called: the code, what is the case, and what to do."""

from jaxnet.check.rules.named import Named
from jaxnet.check.rules.names_accumulator import ACCUMULATORS
from jaxnet.check.rules.names_correction import CORRECTIONS
from jaxnet.check.rules.names_decay import DECAYS
from jaxnet.check.rules.names_momentum import MOMENTA
from jaxnet.check.rules.names_of_rules import OF_RULES
from jaxnet.check.rules.names_root import ROOTS
from jaxnet.check.rules.names_state import STATES
from jaxnet.check.rules.names_step import SIGNS

# An alteration "kind:part" is looked up as it stands, then by its kind; {part} is its part. The
# order is that in which they are tried: where two explain the same path, the first is told.
CATALOGUE: dict[str, Named] = {
    **SIGNS,
    **DECAYS,
    **CORRECTIONS,
    **MOMENTA,
    **ROOTS,
    **STATES,
    **ACCUMULATORS,
}

ORDER = {key: i for i, key in enumerate(CATALOGUE)}
"""Where each stands in the order of trial."""

WRONG_ACCUMULATORS = (
    "largest_undecayed", "largest_decayed_both", "rooted", "largest_of_square", "largest_raw",
    "largest_uncorrected", "largest_kept_in_v", "largest_v", "sign_absent", "difference_kept",
    "squared_twice", "additive_negative", "compared_with_gradient", "of_gradient", "of_scaled_root",
    "numerator_absent", "keeps_mixed", "keeps_mix", "keeps_mix_of_c", "one_average", "kept_whole",
    "square_unweighted", "rate_squared", "moment_plain", "second_plain", "square_of_d_missing",
    "norm_absent", "cover_largest", "cover_sum", "cover_first", "cover_mean", "cover_smallest",
    "cover_total", "centre_absent", "centre_negative", "centre_average_square", "size_l2",
    "size_undamped", "size_multiplied", "distance_squared", "distance_no_square",
    "norm_no_square", "weights_equal", "average_fixed", "reward_negative", "reward_unbounded",
    "b3_not_rooted", "one_minus", "one_minus_inner", "one_minus_outer", "momentum_present",
    "always_factored", "mean_absent", "mean_sum",
)  # fmt: skip
"""Alterations of what a rule accumulates that need no more words than their names."""

SCALES = ("trust_absent", "coefficient_absent", "parameter_scale_absent", "factor_absent")


def named_alteration(name: str, rule: str) -> Named:
    """The name of an alteration."""
    kind, _, part = name.partition(":")
    found = OF_RULES.get((rule, name)) or CATALOGUE.get(name)
    found = found or (CATALOGUE.get(f"{kind}:") if part else None)
    found = found or CATALOGUE.get(kind)
    for family in ("decayed", "started"):
        if found is None and kind.startswith(f"{family}_"):
            found = CATALOGUE[family]
    if found is None:
        words = kind.replace("_", " ")
        code = "mismatch"
        if kind in WRONG_ACCUMULATORS:
            code = "wrong_accumulator"
        elif kind in SCALES:
            code = "scale"
        return Named(
            code,
            f"The rule is {rule} but for one thing, which its equations do not have: "
            f'"{words}{f" ({part})" if part else ""}".',
            f"Compare with the equations: jaxnet zoo {rule}.",
        )
    told = part or "the accumulator"
    return Named(found.code, found.message.format(part=told), found.fix.format(part=told))


def rank(name: str) -> int:
    """Where an alteration stands in the order of trial."""
    kind, _, part = name.partition(":")
    kind = "started" if kind.startswith("started_") else kind
    for key in (name, f"{kind}:" if part else kind, kind):
        if key in ORDER:
            return ORDER[key]
    return len(ORDER)
