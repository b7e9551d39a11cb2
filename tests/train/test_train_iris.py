from typing import Any

import pytest

from jaxnet import data, models, optim
from jaxnet.layers import normal
from jaxnet.train import fit


def test_on_iris_nag_learns_in_the_steps_that_gd_needs_to_begin() -> None:
    train, test = data.split(data.iris(), 0.2, seed=0)
    scale = data.standardizer(train.x)
    model = models.mlp([4, 16, 3], "softplus", w_init=normal(0.1), b_init=normal(0.1))

    def final(rule: Any) -> tuple[float, float]:
        result = fit(
            model,
            rule(0.01),
            (scale(train.x), train.t),
            steps=350,
            validation=(scale(test.x), test.t),
            evaluate_every=350,
        )
        (accuracy,), (held_out,) = (
            result.history[f"{part}_accuracy"].tolist() for part in ("train", "validation")
        )
        return accuracy, held_out

    (nag, nag_test), (gd, _) = final(optim.nag), final(optim.gd)
    assert nag >= 0.97
    assert nag_test >= 0.9
    assert gd <= nag - 0.1
    assert gd == pytest.approx(0.8, abs=0.15)
