"""What alterations of the bias correction and of the counter of steps are called."""

from jaxnet.check.rules.named import Named

CORRECTIONS: dict[str, Named] = {
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
}
