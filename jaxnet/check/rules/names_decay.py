"""What alterations of the weight decay are called."""

from jaxnet.check.rules.named import Named

DECAYS: dict[str, Named] = {
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
}
