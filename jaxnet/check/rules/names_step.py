"""What alterations of a step's sign are called."""

from jaxnet.check.rules.named import Named

SIGNS: dict[str, Named] = {
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
    "bet_negative": Named(
        "sign",
        "The bets are placed on the gradients. They are placed against them, theta := theta - g.",
        "Turn the sign of the gradient in theta.",
    ),
    "way_negative": Named(
        "sign",
        "The estimate of the distance has the other sign, <g, x - x0>. It is due from <g, x0 - x>, "
        "which grows on the way down.",
        "Turn the sign inside the inner product.",
    ),
}
