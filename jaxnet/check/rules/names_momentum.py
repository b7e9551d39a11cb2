"""What alterations of momentum, of its weights and of the look-ahead are called."""

from jaxnet.check.rules.named import Named

MOMENTA: dict[str, Named] = {
    "never_rectified": Named(
        "wrong_accumulator",
        "The rectification never begins: all steps are m^ alone. It begins where rho_t allows it.",
        "Divide by the root of v^ from there on.",
    ),
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
    "point_whole": Named(
        "nesterov_point",
        "The step is g + v. Nesterov's is g + momentum v.",
        "Multiply the velocity by the momentum.",
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
}
