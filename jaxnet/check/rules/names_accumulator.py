"""What alterations of an accumulator, and of where it starts, are called."""

from jaxnet.check.rules.named import Named

ACCUMULATORS: dict[str, Named] = {
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
    "added:": Named(
        "wrong_accumulator",
        "{part} adds (1 - b) of each value to all of the old one. The rule's {part} forgets.",
        "Multiply the old value by its decay.",
    ),
    "kept_largest:": Named(
        "wrong_accumulator",
        "{part} is a maximum that decays. It is an average.",
        "Average, b {part} + (1 - b) of the new value.",
    ),
    "ever_largest:": Named(
        "wrong_accumulator",
        "{part} is the largest value so far. It is an average.",
        "Average, b {part} + (1 - b) of the new value.",
    ),
    "by_sign:": Named(
        "wrong_accumulator",
        "{part} changes by the sign of the difference, as Yogi's. It is an average.",
        "Average, b {part} + (1 - b) of the new value.",
    ),
    "corrected_weight:": Named(
        "wrong_accumulator",
        "{part} is the mean of all values so far. It is an average that forgets.",
        "Average with the decay that is due.",
    ),
    "gradient_summed": Named(
        "wrong_accumulator",
        "The gradients of all steps are summed before the rule sees them. It takes those of the "
        "step alone.",
        "Set the gradients to zero before each step.",
    ),
    "gradient_sign": Named(
        "wrong_accumulator",
        "The rule is made of the signs of the gradient. It takes the gradient itself.",
        "Leave the sign out.",
    ),
    "gradient_centred": Named(
        "mismatch",
        "The mean of every leaf's gradient is taken away. The rule takes the gradient as it is.",
        "Leave the centring out.",
    ),
    "gradient_normalised": Named(
        "mismatch",
        "Every leaf's gradient is divided by its norm. The rule takes the gradient as it is.",
        "Leave the division out.",
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
