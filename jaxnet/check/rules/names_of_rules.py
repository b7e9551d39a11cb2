"""What an alteration is called in a rule that means something else by it than most."""

from jaxnet.check.rules.named import Named

_MAXIMUM_BETAS = Named(
    "betas_swapped",
    "The two betas are exchanged. b1 belongs to the average of the gradient, b2 to the decayed "
    "maximum of |g|.",
    "Exchange them.",
)
_MAXIMUM_OF_G = Named(
    "wrong_accumulator",
    "u is the decayed maximum of g, with its sign. It takes |g|.",
    "Take the absolute value: u := max(b2 u, |g|).",
)

OF_RULES: dict[tuple[str, str], Named] = {
    ("adamax", "betas_swapped"): _MAXIMUM_BETAS,
    ("adamaxw", "betas_swapped"): _MAXIMUM_BETAS,
    ("adamax", "first_power:u"): _MAXIMUM_OF_G,
    ("adamaxw", "first_power:u"): _MAXIMUM_OF_G,
    ("adan", "betas_swapped"): Named(
        "betas_swapped",
        "b1 and b2 are exchanged. b1 belongs to the average of the gradient, b2 to that of its "
        "change.",
        "Exchange them.",
    ),
    ("lion", "betas_swapped"): Named(
        "betas_swapped",
        "The two betas are exchanged. b1 belongs to the mix whose sign is taken, b1 m + (1 - b1) "
        "g, and b2 to the average m that is kept.",
        "Exchange them.",
    ),
    ("lion", "one_average"): Named(
        "wrong_accumulator",
        "The step is the sign of m itself, after m has taken the gradient with b2. It is that of "
        "another mix, b1 m + (1 - b1) g, of the m before.",
        "Take the sign of b1 m + (1 - b1) g, and update m with b2 after it.",
    ),
    ("lion", "keeps_mixed"): Named(
        "wrong_accumulator",
        "m is kept with b1, as the mix whose sign is taken. It is kept with b2.",
        "Keep b2 m + (1 - b2) g.",
    ),
}
"""By rule and alteration; what is not here has its name from the catalogue."""
