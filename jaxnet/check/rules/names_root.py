"""What alterations of a root, and of the eps beside it, are called."""

from jaxnet.check.rules.named import Named

ROOTS: dict[str, Named] = {
    "no_root": Named(
        "sqrt_missing",
        "The root of the accumulated squares is missing. The step is divided by a square.",
        "Take the root.",
    ),
    "no_root_no_eps": Named(
        "sqrt_missing",
        "The root of the accumulated squares is missing. The step is divided by a square.",
        "Take the root.",
    ),
    "no_root_at_all": Named(
        "sqrt_missing",
        "The root of the accumulated squares is missing. The step is divided by a square.",
        "Take the cube root.",
    ),
    "shrink_no_root": Named(
        "sqrt_missing",
        "The parameters are divided by 1 + lr^2. The rule divides by its root.",
        "Take the root.",
    ),
    "power_no_root": Named(
        "sqrt_missing",
        "The power of the matrices is twice as large as due. It is -1 / (2 k) for k axes.",
        "Halve the exponent.",
    ),
    "factor_no_root": Named(
        "sqrt_missing",
        "The factor of the matrix's shape lacks its root. It is sqrt(max(1, out / in)).",
        "Take the root.",
    ),
    "norm_squared": Named(
        "sqrt_missing",
        "The norm lacks its root. It is the root of the sum of squares.",
        "Take the root.",
    ),
    "rectifier_squared": Named(
        "sqrt_missing",
        "The rectification r is squared: its root is missing. It is the root of a quotient.",
        "Take the root.",
    ),
    "no_square": Named(
        "mismatch",
        "The step divides by the gradient's norm. It divides by its square.",
        "Divide by |g|^2.",
    ),
    "fourth_root": Named(
        "mismatch",
        "The root is taken twice. Once is due.",
        "Take it once.",
    ),
    "square_root": Named(
        "mismatch",
        "The square root is taken. This rule has the cube root.",
        "Take the cube root.",
    ),
    "eps_outside": Named(
        "eps_outside_sqrt",
        "eps is added outside of the root, sqrt(v) + eps. The rule has sqrt(v + eps).",
        "Add eps before the root is taken.",
    ),
    "eps_outside_above": Named(
        "eps_outside_sqrt",
        "In the numerator eps is outside of the root. The rule has sqrt(D + eps).",
        "Add eps before the root is taken.",
    ),
    "eps_outside_below": Named(
        "eps_outside_sqrt",
        "In the denominator eps is outside of the root. The rule has sqrt(G + eps).",
        "Add eps before the root is taken.",
    ),
    "eps_inside": Named(
        "eps_inside_sqrt",
        "eps is added inside of the root, sqrt(v + eps). The rule has sqrt(v) + eps.",
        "Add eps after the root is taken.",
    ),
    "eps_inside_only": Named(
        "eps_inside_sqrt",
        "eps is added inside of the root, sqrt(v + eps). The rule has sqrt(v) + eps.",
        "Add eps after the root is taken.",
    ),
    "eps_inside_uncorrected": Named(
        "eps_inside_sqrt",
        "eps is added inside of the root, and before the bias correction. The rule has "
        "sqrt(v / (1 - b2^t)) + eps.",
        "Add eps after the root is taken.",
    ),
    "eps_added_inside": Named(
        "eps_inside_sqrt",
        "eps is added inside of the root. The rule has max(sqrt(v), eps).",
        "Take the maximum after the root.",
    ),
    "eps_both": Named(
        "eps_inside_sqrt",
        "eps is added inside of the root and outside again. The rule has it once.",
        "Leave one of them out.",
    ),
    "eps_squared": Named(
        "eps_placement",
        "eps^2 is added inside of the root. That is not where and what the rule has.",
        "Put eps where the rule has it.",
    ),
    "eps_largest": Named(
        "eps_placement",
        "eps is the least value of the denominator, by a maximum. The rule adds it.",
        "Add eps.",
    ),
    "eps_largest_inside": Named(
        "eps_placement",
        "eps is the least value under the root, by a maximum. The rule adds it.",
        "Add eps.",
    ),
    "eps_added": Named(
        "eps_placement",
        "eps is added to the root. The rule has max(sqrt(v), eps).",
        "Take the maximum.",
    ),
    "eps_hat": Named(
        "eps_placement",
        "eps is added before the bias correction. The rule adds it after, sqrt(v / (1 - b2^t)) + "
        "eps.",
        "Correct v first.",
    ),
    "eps_hat_wrong": Named(
        "eps_placement",
        "eps is multiplied by sqrt(1 - b2^t). The rule adds it as it is, after the correction.",
        "Leave the factor out.",
    ),
    "eps_unscaled": Named(
        "eps_placement",
        "eps stands by itself in the denominator. The rule multiplies it by the estimate d.",
        "Add d eps.",
    ),
    "eps_after_quotient": Named(
        "eps_placement",
        "eps is added to the quotient, m / sqrt(v) + eps. It belongs to the denominator.",
        "Put brackets around the denominator.",
    ),
    "eps_after_quotient_guarded": Named(
        "eps_placement",
        "eps is added to the quotient, where the root is not 0. It belongs to the denominator.",
        "Set brackets around the denominator.",
    ),
    "eps_in_average": Named(
        "eps_placement",
        "eps is averaged with the square. It is added to the average whole.",
        "Add eps after the average.",
    ),
    "eps_at_use": Named(
        "eps_placement",
        "eps is added where the average is used. It stays in the state and accumulates.",
        "Add eps to the average that is kept.",
    ),
    "eps_not_kept": Named(
        "eps_placement",
        "eps is added to the average but not kept in it. It stays in the state and accumulates.",
        "Store the average with eps in it.",
    ),
    "eps_below": Named(
        "eps_placement",
        "eps is added to the maximum u. It is added to |g| inside of the maximum.",
        "u := max(b2 u, |g| + eps).",
    ),
    "eps_at_old": Named(
        "eps_placement",
        "eps is added to the old maximum. It is added to |g|.",
        "u := max(b2 u, |g| + eps).",
    ),
    "eps_below_only": Named(
        "eps_placement",
        "eps is missing in the numerator, so the first step is 0 and nothing ever moves. It is "
        "due in both roots.",
        "Add eps under the upper root.",
    ),
    "eps_above_only": Named(
        "eps_placement",
        "eps is missing in the denominator. It is due in both roots.",
        "Add eps under the lower root.",
    ),
    "eps_root_absent": Named(
        "eps_placement",
        "The eps that stays in the average is missing. It is added to s at every step.",
        "Add eps to s.",
    ),
    "rate_no_eps": Named(
        "eps_placement",
        "eps is missing in the rate. It is (lr + eps) sqrt(t).",
        "Add eps to the learning rate.",
    ),
    "first_eps": Named(
        "eps_placement",
        "The first step is divided by 1 + eps. It is the gradient alone.",
        "Leave the denominator out of the first step.",
    ),
    "norms_unbounded": Named(
        "eps_placement",
        "The norms are not bounded from below. They count as min_norm at least.",
        "Take the maximum with min_norm.",
    ),
    "eps_absent_guarded": Named(
        "eps_placement",
        "eps is missing: only a denominator of 0 is replaced. The rule always has one.",
        "Add eps.",
    ),
    "eps_absent": Named(
        "eps_placement",
        "eps is missing: the denominator can become 0. The rule has one.",
        "Add eps.",
    ),
}
