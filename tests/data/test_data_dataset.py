import numpy as np
import pytest
from hypothesis import given, strategies as st

from jaxnet.data import one_hot


def test_one_hot_puts_the_one_at_the_class_number() -> None:
    y = one_hot([2, 0, 1], 4)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, [[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]])


@given(st.integers(1, 8).flatmap(lambda k: st.tuples(st.just(k), st.lists(st.integers(0, k - 1)))))
def test_one_hot_is_undone_by_argmax(case: tuple[int, list[int]]) -> None:
    n_classes, labels = case
    y = one_hot(np.array(labels, dtype=np.int32), n_classes)
    assert y.shape == (len(labels), n_classes)
    np.testing.assert_array_equal(y.sum(axis=1), np.ones(len(labels)))
    np.testing.assert_array_equal(y.argmax(axis=1), labels)


@pytest.mark.parametrize(("labels", "wrong", "index"), [([0, 3, 4], 3, 1), ([0, 1, -1], -1, 2)])
def test_one_hot_names_a_label_out_of_range(labels: list[int], wrong: int, index: int) -> None:
    with pytest.raises(ValueError, match=rf"{wrong} at index {index} .* 3 classes .* 0 to 2"):
        one_hot(labels, 3)


@pytest.mark.parametrize("labels", [[0.0, 1.0], [True, False], ["a", "b"]])
def test_one_hot_takes_only_integers(labels: list[object]) -> None:
    with pytest.raises(TypeError, match=r"dtype .*expected integers"):
        one_hot(np.array(labels), 2)


def test_one_hot_takes_only_a_vector() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 1\); expected \(n,\)"):
        one_hot([[0], [1]], 2)
