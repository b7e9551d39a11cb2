"""What alterations of the state, and of the order in which it is used, are called."""

from jaxnet.check.rules.named import Named

STATES: dict[str, Named] = {
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
    "gradient_late": Named(
        "order",
        "Every step has the gradient of the step before. It has its own.",
        "Use the gradient that is handed in.",
    ),
    "update_returned": Named(
        "mismatch",
        "step returns the update in the place of the parameters. It must return the new "
        "parameters, params + update.",
        "Return (params + update, state).",
    ),
    "minus_update_returned": Named(
        "mismatch",
        "step returns what is to be subtracted in the place of the parameters. It must return the "
        "new parameters.",
        "Return (params - update, state).",
    ),
    "sign_first": Named(
        "order",
        "The signs are averaged. The rule takes the sign of the average.",
        "Average first, then take the sign.",
    ),
}
