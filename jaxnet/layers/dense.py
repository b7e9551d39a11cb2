"""The affine layer with an activation."""

import jax
from jax import Array
from jax.typing import ArrayLike

from jaxnet.arguments import positive_int
from jaxnet.layers.activations import Activation, activation as find_activation
from jaxnet.layers.initializers import Initializer, initial
from jaxnet.layers.layer import Layer, Params, Residuals, check_features


def dense(
    n_in: int,
    n_out: int,
    activation: str | Activation = "identity",
    *,
    bias: bool = True,
    w_init: str | Initializer | ArrayLike = "glorot_uniform",
    b_init: str | Initializer | ArrayLike = "zeros",
) -> Layer:
    """Affine layer with an activation: a = f(z), z = x w + b.

    Forward, for a batch of n rows:

        z = x w + b        (n, n_out) = (n, n_in) (n_in, n_out) + (n_out,)
        a = f(z)           (n, n_out)

    Backward, given da = dL/da. By the chain rule dz = J_f(z)^T da, for an elementwise f

        dz = f'(z) * da    (n, n_out)

    and since z_ij = sum_k x_ik w_kj + b_j,

        dw_kj = sum_i x_ik dz_ij     dw = x^T dz     (n_in, n_out)
        db_j  = sum_i dz_ij          db = dz summed over the rows
        dx_ik = sum_j dz_ij w_kj     dx = dz w^T     (n, n_in)

    Why dw = x^T dz: row i of the batch adds the outer product of its own input x_i and its own
    error dz_i, because w_kj meets row i only through x_ik and only in z_ij; the sum over i of
    these outer products is the matrix product x^T dz. (With a mean over the batch the 1/n is
    already in dz.)

    x is kept rather than recomputed; f's backward uses z or a, whichever its derivative needs.

    Args:
        n_in: Number of inputs.
        n_out: Number of units.
        activation: A name out of `jaxnet.layers.ACTIVATIONS` or an `Activation`.
        bias: Whether there is a b. Without one the parameters are {"w": ...}.
        w_init: Initialiser of w: a name, a function `(key, shape) -> array`, or the array.
        b_init: Initialiser of b, likewise.

    Returns:
        The layer; its parameters are {"w": (n_in, n_out), "b": (n_out,)}. x may have any number
        of leading axes.

    Raises:
        ValueError: A size is not a positive integer, or a name is unknown.
    """
    n_in, n_out = positive_int("dense: n_in", n_in), positive_int("dense: n_out", n_out)
    f = find_activation(activation)

    def init(key: Array) -> Params:
        key_w, key_b = jax.random.split(key)
        params = {"w": initial(w_init, key_w, (n_in, n_out))}
        if bias:
            params["b"] = initial(b_init, key_b, (n_out,))
        return params

    def forward(params: Params, x: Array, key: Array | None = None) -> tuple[Array, Residuals]:
        check_features(f"dense({n_in}, {n_out})", x, n_in)
        _check_weights(params["w"])
        z = x @ params["w"]  # (..., n_out)
        if bias:
            z = z + params["b"]
        a = f.value(z)
        return a, (x, z, a)

    def backward(params: Params, residuals: Residuals, da: Array) -> tuple[Params, Array]:
        x, z, a = residuals
        dz = f.backward(z, a, da)  # (..., n_out)
        rows_x, rows_dz = x.reshape(-1, n_in), dz.reshape(-1, n_out)
        dparams = {"w": rows_x.T @ rows_dz}  # (n_in, n_out)
        if bias:
            dparams["b"] = rows_dz.sum(axis=0)  # (n_out,)
        return dparams, dz @ params["w"].T  # (..., n_in)

    def _check_weights(w: Array) -> None:
        if w.shape != (n_in, n_out):
            raise ValueError(
                f"dense({n_in}, {n_out}): w must have shape {(n_in, n_out)}, got {w.shape}"
            )

    return Layer(init, forward, backward)
