"""What an alteration is called: the code, what is the case, and what to do."""

from typing import NamedTuple


class Named(NamedTuple):
    """The name of a fault."""

    code: str
    message: str
    fix: str


# An alteration "kind:part" is looked up as it stands, then by its kind; {part} is its part. The
# order is that in which they are tried: where two explain the same path, the first is told.
CATALOGUE: dict[str, Named] = {
    "sign": Named(
        "sign",
        "Every step goes the other way: the parameters climb. The update is subtracted, x := x - "
        "lr d.",
        "Turn the sign of the update.",
    ),
    "sign_of_step": Named(
        "sign",
        "The step goes the other way, though the weights decay as they should. It is subtracted, "
        "x := x - lr d.",
        "Turn the sign of the step, not of the decay.",
    ),
    "sign_of_gradient": Named(
        "sign",
        "The gradient has the wrong sign: the parameters climb. The rule steps against the "
        "gradient.",
        "Turn the sign of the gradient.",
    ),
    "way_negative": Named(
        "sign",
        "The estimate of the distance has the other sign, <g, x - x0>. It is due from <g, x0 - x>, "
        "which grows on the way down.",
        "Turn the sign inside the inner product.",
    ),
    # Weight decay.
    "decay_coupled": Named(
        "coupled_weight_decay",
        "The weight decay is added to the gradient, and so passes through the rule's averages. It "
        "is due beside the step, x := x - lr wd x.",
        "Leave wd x out of the gradient and subtract lr wd x from the parameters.",
    ),
    "decay_in_m": Named(
        "coupled_weight_decay",
        "The weight decay is added to the gradient of m alone, and so passes through the average. "
        "It is due beside the step, x := x - lr wd x.",
        "Leave wd x out of m and subtract lr wd x from the parameters.",
    ),
    "decay_in_quotient": Named(
        "coupled_weight_decay",
        "The weight decay is added to m^ and divided by the root with it. It is due beside the "
        "step, x := x - lr wd x.",
        "Add wd x to the quotient, not to what is divided.",
    ),
    "decay_decoupled": Named(
        "decoupled_weight_decay",
        "The weights decay beside the step, x := x - lr wd x. The rule has an L2 term: wd x "
        "belongs "
        "to the gradient.",
        "Add wd x to the gradient before anything else.",
    ),
    "decay_outside": Named(
        "decoupled_weight_decay",
        "The weights decay beside the step. The rule has wd x inside of what the trust ratio "
        "scales.",
        "Add wd x before the ratio is taken.",
    ),
    "decay_after_ratio": Named(
        "order",
        "The trust ratio is taken before the weight decay is added. It is due of the sum.",
        "Add wd x first, then take the norm.",
    ),
    "decay_unscaled": Named(
        "weight_decay_unscaled",
        "The weight decay is not multiplied by the learning rate, x := x - wd x. The rule has "
        "x := x - lr wd x.",
        "Multiply the decay by the learning rate.",
    ),
    "decay_plain": Named(
        "weight_decay_unscaled",
        "The weight decay of z is not multiplied by the learning rate. It is lr wd y.",
        "Multiply the decay by the learning rate.",
    ),
    "decay_rate_plain": Named(
        "weight_decay_unscaled",
        "The weight decay is multiplied by lr alone. The rule has its whole rate there, with the "
        "estimate d in it.",
        "Multiply the decay by the rate of the step.",
    ),
    "decay_grows": Named(
        "sign",
        "The weight decay has the wrong sign: the weights grow. It is subtracted, x := x - lr wd "
        "x.",
        "Turn the sign of the decay.",
    ),
    "decay_of_z": Named(
        "order",
        "The weight decay is that of z. It is due of y, where the gradient is taken.",
        "Decay by wd y.",
    ),
    "decay_after": Named(
        "order",
        "The weights decay after the step, x := (1 - lr wd) (x - lr d). Both are due from the same "
        "x.",
        "Take the decay of the parameters before the step.",
    ),
    "decay_scaled": Named(
        "scale",
        "The weight decay is multiplied by the factor of the matrix's shape. It takes the learning "
        "rate alone.",
        "Leave the factor out of the decay.",
    ),
    "decay_absent": Named(
        "mismatch",
        "The weights do not decay. The rule has a weight decay.",
        "Add the decay, or pass weight_decay=0.0.",
    ),
    # Bias correction and the counter of steps.
    "correction_kept": Named(
        "wrong_accumulator",
        "The corrected average {part} is stored and averaged on. The state keeps the raw one.",
        "Keep {part} as it is, and divide a copy.",
    ),
    "uncorrected": Named(
        "no_bias_correction",
        "The bias correction of the averages is missing. They start at 0 and are too small by "
        "1 - b^t.",
        "Divide each average by 1 - b^t, with t = 1 in the first step.",
    ),
    "uncorrected:": Named(
        "no_bias_correction",
        "The bias correction of {part} is missing. It starts at 0 and is too small by 1 - b^t.",
        "Divide {part} by 1 - b^t, with t = 1 in the first step.",
    ),
    "rectified_uncorrected": Named(
        "no_bias_correction",
        "The rectified steps take the averages without bias correction. They are too small by "
        "1 - b^t.",
        "Divide each average by 1 - b^t.",
    ),
    "warmup_uncorrected": Named(
        "no_bias_correction",
        "The steps before the rectification take m without its bias correction. They are due with "
        "m / (1 - b1^t).",
        "Divide m by 1 - b1^t there, too.",
    ),
    "clock_late": Named(
        "bias_correction_off_by_one",
        "The step's number is one too small: it counts from 0. The first step has t = 1.",
        "Raise the counter before it is used.",
    ),
    "clock_early": Named(
        "bias_correction_off_by_one",
        "The step's number is one too large: it counts from 2. The first step has t = 1.",
        "Start the counter at 0 and raise it once a step.",
    ),
    "clock_guarded": Named(
        "bias_correction_off_by_one",
        "The step's number is one too small from the second step on. The first step has t = 1, the "
        "second t = 2.",
        "Raise the counter before it is used.",
    ),
    "correction_late": Named(
        "bias_correction_off_by_one",
        "The bias correction of {part} uses t - 1. The first step has t = 1.",
        "Raise the counter before it is used.",
    ),
    "correction_early": Named(
        "bias_correction_off_by_one",
        "The bias correction of {part} uses t + 1. The first step has t = 1.",
        "Use the number of the step that is being done.",
    ),
    "correction_guarded": Named(
        "bias_correction_off_by_one",
        "The bias correction of {part} is one step late. The first step has t = 1, the second t "
        "= 2.",
        "Raise the counter before it is used.",
    ),
    "correction_skipped": Named(
        "bias_correction_off_by_one",
        "The bias correction of {part} uses t - 1, and none in the first step. The first step has "
        "t = 1.",
        "Raise the counter before it is used.",
    ),
    "correction_now": Named(
        "bias_correction_off_by_one",
        "The denominator of the step before is corrected with t. It has seen t - 1 gradients.",
        "Divide it by 1 - b2^(t-1).",
    ),
    "same_correction": Named(
        "bias_correction_off_by_one",
        "The look-ahead average is corrected with t. It is that of the next step, 1 - b1^(t+1).",
        "Use t + 1 in the correction of m, and t in that of g.",
    ),
    "later_correction": Named(
        "bias_correction_off_by_one",
        "The gradient's part is corrected with t + 1. It belongs to this step, 1 - b1^t.",
        "Use t + 1 in the correction of m, and t in that of g.",
    ),
    "clip_early": Named(
        "bias_correction_off_by_one",
        "The bound of the clipping is one step ahead. The first step that moves has k = 1.",
        "Count the steps of the bound from the first one that moves.",
    ),
    "t_late": Named(
        "bias_correction_off_by_one",
        "The momentum is one step late, (t_{{k-1}} - 1) / t_k. It is (t_k - 1) / t_{{k+1}}.",
        "Use t_k and t_{{k+1}} of this step.",
    ),
    "t_early": Named(
        "bias_correction_off_by_one",
        "The momentum is one step ahead, (t_{{k+1}} - 1) / t_{{k+2}}. It is (t_k - 1) / t_{{k+1}}, "
        "0 at first.",
        "Use t_k and t_{{k+1}} of this step.",
    ),
    "corrections_swapped": Named(
        "betas_swapped",
        "The bias corrections have each other's beta. m is due with b1 and v with b2.",
        "Exchange the two.",
    ),
    "correction_fixed": Named(
        "state_reset",
        "The bias correction of {part} stays that of the first step. Its counter must be kept.",
        "Raise the step's number in every step and store it.",
    ),
    "correction_multiplied": Named(
        "mismatch",
        "{part} is multiplied by 1 - b^t. It is divided by it.",
        "Divide.",
    ),
    "correction_product": Named(
        "mismatch",
        "The bias correction of {part} is 1 - b t. It is 1 - b^t, with a power.",
        "Raise b to the power t.",
    ),
    "correction_of_root": Named(
        "mismatch",
        "The root of v is divided by 1 - b2^t. The correction belongs under the root.",
        "Divide v before the root is taken.",
    ),
    "second_correction": Named(
        "wrong_accumulator",
        "The maximum u is bias-corrected like an average. It needs no correction.",
        "Leave the division of u out.",
    ),
    "slow_corrected": Named(
        "wrong_accumulator",
        "The slow average m2 is bias-corrected. The rule corrects m1 and v only.",
        "Leave the division of m2 out.",
    ),
    "both_corrected": Named(
        "wrong_accumulator",
        "The slow average m2 is divided by m1's correction. The rule corrects m1 and v only.",
        "Divide m1 before m2 is added.",
    ),
    "corrected": Named(
        "wrong_accumulator",
        "The average is bias-corrected. This rule has no correction.",
        "Leave the division by 1 - b^t out.",
    ),
    # Exchanged things.
    "betas_swapped": Named(
        "betas_swapped",
        "The two betas are exchanged. b1 belongs to the average of the gradient, b2 to that of its "
        "square.",
        "Exchange them.",
    ),
    "weights_swapped:": Named(
        "betas_swapped",
        "The weights of {part} are exchanged: its decay multiplies the new value. It belongs to "
        "the old one.",
        "Exchange the two weights.",
    ),
    "mix_swapped": Named(
        "betas_swapped",
        "The two weights of the mix are exchanged. The decay belongs to what is kept.",
        "Exchange the weights.",
    ),
    "average_swapped": Named(
        "betas_swapped",
        "The average takes c of the old x and 1 - c of z. It is the other way round.",
        "x := (1 - c) x + c z.",
    ),
    "factors_swapped": Named(
        "betas_swapped",
        "The two factors of the step sizes are exchanged. A step whose gradient keeps its sign "
        "grows.",
        "Exchange eta_plus and eta_minus.",
    ),
    # Momentum.
    "dampened": Named(
        "dampening",
        "The velocity takes (1 - momentum) g, an average of gradients. It takes the whole of g "
        "here.",
        "Leave the factor (1 - momentum) out, or divide the learning rate by it.",
    ),
    "dampened_later": Named(
        "dampening",
        "The velocity takes (1 - momentum) g from the second step on. It takes the whole of g.",
        "Set the dampening to 0.",
    ),
    "dampened_corrected": Named(
        "dampening",
        "The velocity is an average of gradients, (1 - momentum) g, with a bias correction. It is "
        "a sum that takes the whole of g.",
        "Leave the factor (1 - momentum) and the correction out.",
    ),
    "lookahead_whole": Named(
        "dampening",
        "The velocity takes (1 - momentum) g, the look-ahead step the whole of g. Both take it "
        "whole.",
        "Leave the factor out.",
    ),
    "lookahead_dampened": Named(
        "dampening",
        "The look-ahead step takes (1 - momentum) g. It takes the whole of g.",
        "Leave the factor out.",
    ),
    "undamped:": Named(
        "dampening",
        "The average {part} takes the new value whole, and is 1 / (1 - b) times too large. It "
        "takes "
        "1 - b of it.",
        "Multiply the new value by one minus the decay.",
    ),
    "undamped:v": Named(
        "wrong_accumulator",
        "v := b v + g^2 is a sum. The rule has an average, b v + (1 - b) g^2.",
        "Multiply the square by one minus the decay.",
    ),
    "undamped:g2": Named(
        "wrong_accumulator",
        "The squared gradients are summed with a decay. The rule averages, with 1 - rho.",
        "Multiply the square by 1 - rho.",
    ),
    "undamped:d2": Named(
        "wrong_accumulator",
        "The squared steps are summed with a decay. The rule averages, with 1 - rho.",
        "Multiply the square by 1 - rho.",
    ),
    "undamped:s": Named(
        "wrong_accumulator",
        "The squared deviations are summed with a decay. The rule averages, with 1 - b2.",
        "Multiply the square by one minus the decay.",
    ),
    "undamped:n": Named(
        "wrong_accumulator",
        "The squares are summed with a decay. The rule averages, with 1 - b3.",
        "Multiply the square by one minus the decay.",
    ),
    "undamped_difference": Named(
        "wrong_accumulator",
        "The squares are those of g + d. The change of the gradient has a weight there.",
        "Multiply the change by b2.",
    ),
    "undamped_velocity": Named(
        "nesterov_point",
        "The average change of the gradient is added whole. It is added with its weight b2.",
        "Multiply it by b2.",
    ),
    "momentum_negative": Named(
        "momentum_sign",
        "The momentum has the wrong sign: it turns the last step back. It is added.",
        "Turn its sign.",
    ),
    "lookahead_minus_old": Named(
        "momentum_sign",
        "The old velocity is added where Bengio's form takes it away, - momentum v_old. The step "
        "is "
        "- momentum v_old + (1 + momentum) v.",
        "Turn the sign of the old velocity.",
    ),
    "negative": Named(
        "momentum_sign",
        "The average {part} is multiplied by minus its decay. What is kept keeps its sign.",
        "Turn the sign of the decay.",
    ),
    "lookahead_negative": Named(
        "momentum_sign",
        "The look-ahead has the wrong sign. Momentum and gradient are added.",
        "Turn the sign between them.",
    ),
    "negative_gradient": Named(
        "momentum_sign",
        "The average {part} takes the new value with a minus. It is added.",
        "Turn the sign of the new value.",
    ),
    "lr_twice": Named(
        "lr_in_buffer",
        "The learning rate is in the velocity and multiplies the step again. It belongs in one "
        "place.",
        "Take it out of the velocity.",
    ),
    "lr_inside:": Named(
        "lr_in_buffer",
        "{part} accumulates the gradient times the learning rate. It accumulates the gradient.",
        "Keep {part} free of the learning rate.",
    ),
    "lr_inside": Named(
        "lr_in_buffer",
        "The learning rate is inside the buffer, so it acts on later steps. The rule multiplies "
        "the "
        "step by it, outside.",
        "Keep the buffer free of the learning rate.",
    ),
    "numerator_rate": Named(
        "wrong_accumulator",
        "The learning rate stands for the root of the average squared step. The rule has both.",
        "Multiply by sqrt(D + eps) as well.",
    ),
    "point_plain": Named(
        "nesterov_point",
        "The look-ahead is missing: the gradient is not that of the point ahead. Nesterov's step "
        "is made from there.",
        "Step from the look-ahead point, or give its step g + momentum v.",
    ),
    "point_plain_late": Named(
        "nesterov_point",
        "The gradient is taken at the plain iterate. It is due at the look-ahead point.",
        "Return the look-ahead point as the parameters, so that the next gradient is taken there.",
    ),
    "point_ahead": Named(
        "nesterov_point",
        "The step is Nesterov's, with a look-ahead. The rule has none.",
        "Step by the average itself.",
    ),
    "point_velocity": Named(
        "nesterov_point",
        "The step is (1 + momentum) v. Nesterov's is g + momentum v.",
        "Replace the first v by g.",
    ),
    "point_twice": Named(
        "nesterov_point",
        "The look-ahead is applied twice. Nesterov's step is g + momentum v.",
        "Apply it once.",
    ),
    "point_old": Named(
        "nesterov_point",
        "The look-ahead is made of the old velocity. It is due of the new one.",
        "Update the velocity first.",
    ),
    "point_back": Named(
        "nesterov_point",
        "The look-ahead goes back along the old velocity. It is g + momentum v of the new one.",
        "Step by g + momentum v.",
    ),
    "point_only_ahead": Named(
        "nesterov_point",
        "The step is momentum v, without the gradient. Nesterov's is g + momentum v.",
        "Add the gradient.",
    ),
    "point_late": Named(
        "order",
        "The step is made of the velocity before it has seen the gradient. It comes after.",
        "Update the velocity first.",
    ),
    "point_of_lookaheads": Named(
        "nesterov_point",
        "The momentum is made of look-ahead points. It is due of the plain iterates, x_k - "
        "x_{{k-1}}.",
        "Keep the plain iterate in the state.",
    ),
    "point_mixed": Named(
        "nesterov_point",
        "The momentum is made of a plain iterate and a look-ahead point. It is due of the plain "
        "iterates, x_k - x_{{k-1}}.",
        "Keep the plain iterate in the state.",
    ),
    "point_from_x": Named(
        "nesterov_point",
        "The look-ahead starts from the old plain iterate. It starts from the new one.",
        "y := x_k + beta (x_k - x_{{k-1}}).",
    ),
    "point_of_z": Named(
        "nesterov_point",
        "The parameters are z. The gradient is due at y, between z and the average.",
        "Return y = (1 - b1) z + b1 x.",
    ),
    "lookahead_undamped": Named(
        "dampening",
        "The look-ahead takes the whole of g. It takes 1 - b1 of it.",
        "Multiply the gradient by 1 - b1.",
    ),
    "lookahead": Named(
        "nesterov_point",
        "The sign is that of a look-ahead average. The rule takes that of the average.",
        "Take the sign of m.",
    ),
    # Roots and eps.
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
    # States.
    "largest_absent": Named(
        "wrong_accumulator",
        "The largest value so far is not kept. The rule takes the maximum.",
        "Take the maximum with the value that is kept.",
    ),
    "reset": Named(
        "state_reset",
        "The state is made anew in every step: nothing is remembered. It must be kept.",
        "Return the new state, and do not initialise it again.",
    ),
    "reset_both": Named(
        "state_reset",
        "The state and the counter are made anew in every step. They must be kept.",
        "Return the new state, and do not initialise it again.",
    ),
    "reset_clock": Named(
        "state_reset",
        "The step's number stays at 1. It must be raised in every step and kept.",
        "Store the new counter in the state that is returned.",
    ),
    "reset:": Named(
        "state_reset",
        "{part} is made anew in every step. It must be kept from step to step.",
        "Store the new {part} in the state that is returned.",
    ),
    "unkept": Named(
        "state_reset",
        "{part} forgets its past: each step has its own value alone. It must be carried on.",
        "Combine the new value with the one that is kept.",
    ),
    "share": Named(
        "state_shared",
        "Leaves share one state. Each leaf needs its own.",
        "Make a new array for every leaf.",
    ),
    "share_last": Named(
        "state_shared",
        "Leaves share one state, and that of the last leaf is kept. Each leaf needs its own.",
        "Make a new array for every leaf.",
    ),
    "share_square:": Named(
        "state_shared",
        "{part} accumulates the squares of all leaves together. Each entry needs its own.",
        "Square entry by entry.",
    ),
    "share_clock_both": Named(
        "state_shared",
        "The counter is raised once for every leaf and once for the step. It counts steps.",
        "Raise it once a step.",
    ),
    "share_clock": Named(
        "state_shared",
        "The counter is raised once for every leaf. It counts steps, and all leaves share one "
        "step.",
        "Raise it once a step.",
    ),
    "share:": Named(
        "state_shared",
        "Leaves share one {part}. Each leaf needs its own.",
        "Make a new array for every leaf.",
    ),
    "one_buffer": Named(
        "state_shared",
        "m and v are the same array, changed in place. Each needs its own.",
        "Make two arrays.",
    ),
    "each_leaf": Named(
        "state_shared",
        "Every leaf has its own distance and its own sum. The rule has one for all leaves "
        "together.",
        "Sum over all leaves.",
    ),
    # Order.
    "late": Named(
        "order",
        "Every update is one step late: a step makes the move of the one before. It makes its own.",
        "Return the update of the new state.",
    ),
    "late_move": Named(
        "order",
        "Every update is one step late: the first one is 0, and each makes the move that was due "
        "before (as optax's rprop does). A step makes its own move.",
        "Return the move of this step's gradient.",
    ),
    "old": Named(
        "order",
        "The step is made of the state as it was before this gradient. It is updated first.",
        "Update the state before it is used.",
    ),
    "old:": Named(
        "order",
        "The step is made of {part} as it was before this gradient. It is updated first.",
        "Update {part} before it is used.",
    ),
    "old_guarded:": Named(
        "order",
        "From the second step on the step is made of {part} as it was before this gradient. It is "
        "updated first.",
        "Update {part} before it is used.",
    ),
    "old_raw:": Named(
        "order",
        "The step is made of {part} as it was before this gradient. It is updated first.",
        "Update {part} before it is used.",
    ),
    "late_mix": Named(
        "order",
        "The average is updated before the step is made of it. The step mixes the old one.",
        "Make the step first, then update the average.",
    ),
    "late_numerator": Named(
        "order",
        "The average squared step is updated before it is used. The step has the old one.",
        "Use it first, then update it.",
    ),
    "centre_old": Named(
        "order",
        "The deviation is that from the old average. It is due from the new one.",
        "Update m before the deviation is taken.",
    ),
    "new_s": Named(
        "order",
        "The denominator has seen the present gradient. It is that of the step before.",
        "Make the step first, then update s.",
    ),
    "new_v": Named(
        "order",
        "The denominator has seen the present gradient. It is that of the step before.",
        "Make the step first, then update v.",
    ),
    "average_late": Named(
        "order",
        "The weight of the average counts a step too many. It is w / W with this step's W.",
        "Divide by the sum of the weights so far.",
    ),
    "rate_new": Named(
        "order",
        "The rate is made of the new d. The step takes the old one.",
        "Compute the rate before d is updated.",
    ),
    "d_old": Named(
        "order",
        "The denominator has the old d with eps. It has the new one.",
        "Update d first.",
    ),
    "momentum_of_gradient": Named(
        "order",
        "The momentum is that of the gradient, divided afterwards. It is that of the divided "
        "gradient.",
        "Divide first, then accumulate.",
    ),
    "momentum_first": Named(
        "order",
        "The average is taken before the division. It is due after it.",
        "Divide first, then average.",
    ),
    "ratio_of_velocity": Named(
        "order",
        "The trust ratio is that of the velocity. It is due before the velocity is updated.",
        "Scale the gradient first, then accumulate.",
    ),
    "orthogonal_first": Named(
        "order",
        "The gradient is orthogonalised, then averaged. It is averaged first.",
        "Orthogonalise the momentum.",
    ),
    "orthogonal_gradient": Named(
        "order",
        "The gradient is orthogonalised, and the momentum unused. The momentum is due.",
        "Orthogonalise the momentum.",
    ),
    "sign_twice": Named(
        "order",
        "The signs are averaged, and the sign is taken again. The rule averages the gradients.",
        "Average first, then take the sign.",
    ),
    "sign_first": Named(
        "order",
        "The signs are averaged. The rule takes the sign of the average.",
        "Average first, then take the sign.",
    ),
    # What is accumulated.
    "absolute:": Named(
        "wrong_accumulator",
        "{part} accumulates |g|. It accumulates squares.",
        "Square the gradient.",
    ),
    "first_power:": Named(
        "wrong_accumulator",
        "{part} accumulates g, not its square. It accumulates squares.",
        "Square the gradient.",
    ),
    "squared:": Named(
        "wrong_accumulator",
        "{part} accumulates g^2. It takes |g|.",
        "Take the absolute value.",
    ),
    "of_average:": Named(
        "wrong_accumulator",
        "{part} accumulates the squared average, m^2. It accumulates g^2.",
        "Square the gradient.",
    ),
    "norm:": Named(
        "wrong_accumulator",
        "{part} accumulates the squared norm of the leaf. It has a number for every entry.",
        "Square entry by entry.",
    ),
    "largest_square:": Named(
        "wrong_accumulator",
        "{part} accumulates the largest square of the leaf. It has a number for every entry.",
        "Square entry by entry.",
    ),
    "norm_averaged": Named(
        "wrong_accumulator",
        "v averages norms. It averages squared norms, and the root is taken of the average.",
        "Square the norm.",
    ),
    "momentum_absent": Named(
        "wrong_accumulator",
        "The average of the gradient is not used: the step is made of the gradient itself.",
        "Make the step of the average.",
    ),
    "mean_square:": Named(
        "wrong_accumulator",
        "{part} accumulates the mean square of the leaf. It has a number for every entry.",
        "Square entry by entry.",
    ),
    "centred:": Named(
        "wrong_accumulator",
        "{part} accumulates squared deviations from the average. It accumulates g^2.",
        "Square the gradient itself.",
    ),
    "centred": Named(
        "wrong_accumulator",
        "The denominator is centred, v - m^2. It is v alone.",
        "Leave the mean out.",
    ),
    "plain_square": Named(
        "wrong_accumulator",
        "The square of the gradient itself is accumulated. The rule takes another quantity there.",
        "Square what the rule's equation has.",
    ),
    "total:": Named(
        "wrong_accumulator",
        "{part} is a sum over all steps. It is an average that forgets.",
        "Multiply the old value by its decay, the new one by one minus it.",
    ),
    "decayed": Named(
        "wrong_accumulator",
        "{part} is an average that forgets. It is a sum over all steps.",
        "Add the new value to all of the old one.",
    ),
    "largest:": Named(
        "wrong_accumulator",
        "{part} keeps the largest value. It is a sum.",
        "Add the new value.",
    ),
    "smallest": Named(
        "wrong_accumulator",
        "{part} keeps the smallest value. It keeps the largest.",
        "Take the maximum.",
    ),
    "start_zero": Named(
        "initial_accumulator",
        "The state starts at 0. The rule starts it elsewhere.",
        "Start it as the rule's equations do.",
    ),
    "start_m_zero": Named(
        "initial_accumulator",
        "m starts at 0. It starts at the initial accumulator value.",
        "Start m at the initial accumulator value.",
    ),
    "start_v_zero": Named(
        "initial_accumulator",
        "v starts at 0. It starts at the initial accumulator value.",
        "Start v at the initial accumulator value.",
    ),
    "start_average": Named(
        "initial_accumulator",
        "The first average is (1 - b2) |g|^2. It starts at the first |g|^2 whole.",
        "Set v to |g|^2 in the first step.",
    ),
    "start_square": Named(
        "initial_accumulator",
        "v starts at the first square. It starts at the initial accumulator value.",
        "Start v at the initial accumulator value.",
    ),
    "start_moves": Named(
        "initial_accumulator",
        "The first step moves. It only sets v.",
        "Return after v is set in the first step.",
    ),
    "start_absolute": Named(
        "initial_accumulator",
        "The first distance is reps alone. It is reps (1 + |x0|).",
        "Multiply it by 1 + |x0|.",
    ),
    "start_size": Named(
        "initial_accumulator",
        "The first distance is reps |x0|. It is reps (1 + |x0|).",
        "Multiply it by 1 + |x0|.",
    ),
    "first_absent": Named(
        "initial_accumulator",
        "The first step does not move. It steps by the gradient alone.",
        "Step by lr g in the first step.",
    ),
    "seeded:": Named(
        "initial_accumulator",
        "{part} starts at the first value. It starts at 0.",
        "Start {part} at 0.",
    ),
    "started": Named(
        "initial_accumulator",
        "{part} starts at another value than due.",
        "Start {part} as the rule's equations do.",
    ),
    "averaged_square:": Named(
        "wrong_accumulator",
        "{part} averages g^2. It keeps the decayed maximum of |g|.",
        "Take the maximum.",
    ),
    "averaged:": Named(
        "wrong_accumulator",
        "{part} is an average. It is a maximum that decays.",
        "Take the maximum.",
    ),
    "summed:": Named(
        "wrong_accumulator",
        "{part} is a sum. It is a maximum.",
        "Take the maximum.",
    ),
}

WRONG_ACCUMULATORS = (
    "largest_undecayed", "largest_decayed_both", "rooted", "largest_of_square", "largest_raw",
    "largest_uncorrected", "largest_kept_in_v", "largest_v", "sign_absent", "difference_kept",
    "squared_twice", "additive_negative", "sign_of_gradient", "of_gradient", "of_scaled_root",
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
    found = CATALOGUE.get(name) or (CATALOGUE.get(f"{kind}:") if part else None)
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
            f"The rule is {rule} with one thing else: {words}{f' ({part})' if part else ''}. Its "
            "equations do not have that.",
            f"Compare with the equations: jaxnet zoo {rule}.",
        )
    told = part or "the accumulator"
    return Named(found.code, found.message.format(part=told), found.fix.format(part=told))


def rank(name: str) -> int:
    """Where an alteration stands in the order of trial."""
    order = list(CATALOGUE)
    kind, _, part = name.partition(":")
    for key in (name, f"{kind}:" if part else kind, kind):
        if key in order:
            return order.index(key)
    return len(order)
