"""All optimizers of the library in one table."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import optax

from jaxnet.optim.adagrad import adadelta, adagrad, rmsprop
from jaxnet.optim.adam import adam, adamax, adamaxw, adamw, nadam, nadamw
from jaxnet.optim.adam_centered import acprop, adabelief
from jaxnet.optim.adam_safeguards import amsgrad, radam
from jaxnet.optim.adam_variants import adan, ademamix, adopt, yogi
from jaxnet.optim.annealing import simulated_annealing
from jaxnet.optim.averaging import madgrad, schedule_free_adamw, schedule_free_sgd
from jaxnet.optim.aw_sgd import aw_sgd
from jaxnet.optim.conjugate_gradient import conjugate_gradient
from jaxnet.optim.dadaptation import dadapt_adamw, prodigy
from jaxnet.optim.factored import adafactor, sm3
from jaxnet.optim.gradient_descent import gd, momentum, nesterov
from jaxnet.optim.layerwise import fromage, lamb, lars, novograd
from jaxnet.optim.levenberg_marquardt import levenberg_marquardt
from jaxnet.optim.muon import muon
from jaxnet.optim.nag import nag
from jaxnet.optim.newton_cg import newton_cg
from jaxnet.optim.optimistic import optimistic_adam, optimistic_gradient_descent
from jaxnet.optim.parameter_free import cocob, dog, dowg
from jaxnet.optim.quasi_newton import bfgs, lbfgs
from jaxnet.optim.sam import sam
from jaxnet.optim.shampoo import shampoo, soap
from jaxnet.optim.sign import lion, rprop, sign_sgd, signum
from jaxnet.optim.sophia import sophia
from jaxnet.optim.stochastic import noisy_sgd, polyak_sgd


@dataclass(frozen=True)
class Entry:
    """What there is to know of one rule.

    Attributes:
        name: Its name in `jaxnet.optim`.
        factory: The function of that name; its docstring has the equations.
        family: The kind of rule.
        year: Of the publication.
        citation: Authors and years.
        state: Size of its state in multiples of the parameters.
        proof: What it is proved against, and to which relative tolerance in float64.
        make: learning rate -> the rule with everything else at its defaults. Rules that find
            their own step leave the learning rate out.
        needs: What `update` needs beyond gradients, state and parameters: "value", "value_fn",
            "grad_fn", "residual_fn" or "rows"; and "key", if the factory needs one.
        takes: What may stand for the learning rate: a "schedule" or number, a "number", or "none".
    """

    name: str
    factory: Callable[..., optax.GradientTransformation]
    family: str
    year: int
    citation: str
    state: str
    proof: str
    make: Callable[[Any], optax.GradientTransformation]
    needs: str = ""
    takes: Literal["schedule", "number", "none"] = "schedule"


_ENTRIES = (
    Entry(
        "gd",
        gd,
        "gradient descent",
        1847,
        "Cauchy (1847); Robbins & Monro (1951)",
        "0",
        "optax.sgd, 1e-12",
        gd,
    ),
    Entry(
        "momentum",
        momentum,
        "gradient descent",
        1964,
        "Polyak (1964)",
        "1",
        "optax.sgd and NumPy, 1e-12",
        momentum,
    ),
    Entry(
        "nesterov",
        nesterov,
        "gradient descent",
        1983,
        "Nesterov (1983); Sutskever et al. (2013)",
        "1",
        "optax.sgd and NumPy, 1e-12",
        nesterov,
    ),
    Entry(
        "nag",
        nag,
        "gradient descent",
        1983,
        "Nesterov (1983); Beck & Teboulle (2009)",
        "1",
        "the recursion in NumPy, 1e-12",
        nag,
    ),
    Entry(
        "optimistic_gradient_descent",
        optimistic_gradient_descent,
        "optimistic",
        2013,
        "Rakhlin & Sridharan (2013); Mokhtari et al. (2020)",
        "1",
        "optax and NumPy, 1e-12",
        optimistic_gradient_descent,
    ),
    Entry(
        "optimistic_adam",
        optimistic_adam,
        "optimistic",
        2018,
        "Daskalakis et al. (2018)",
        "3",
        "optax and NumPy, 1e-12",
        optimistic_adam,
    ),
    Entry(
        "noisy_sgd",
        noisy_sgd,
        "stochastic",
        2015,
        "Neelakantan et al. (2015)",
        "0",
        "optax with the same noise, 1e-12",
        lambda lr: noisy_sgd(lr, key=jax.random.key(0)),
        needs="key",
    ),
    Entry(
        "polyak_sgd",
        polyak_sgd,
        "stochastic",
        1987,
        "Polyak (1987); Loizou et al. (2021)",
        "0",
        "optax, 1e-11, and NumPy, 1e-9",
        polyak_sgd,
        needs="value",
        takes="number",
    ),
    Entry(
        "sign_sgd",
        sign_sgd,
        "sign",
        2018,
        "Bernstein et al. (2018)",
        "0",
        "optax and NumPy, 1e-12",
        sign_sgd,
    ),
    Entry(
        "signum",
        signum,
        "sign",
        2018,
        "Bernstein et al. (2018)",
        "1",
        "optax and NumPy, 1e-12",
        signum,
    ),
    Entry(
        "lion",
        lion,
        "sign",
        2023,
        "Chen et al. (2023)",
        "1",
        "optax and NumPy, 1e-12",
        lion,
    ),
    Entry(
        "rprop",
        rprop,
        "sign",
        1993,
        "Riedmiller & Braun (1993); Igel & Huesken (2000)",
        "2",
        "NumPy and torch, 1e-12; optax is one step late",
        rprop,
        takes="number",
    ),
    Entry(
        "adagrad",
        adagrad,
        "adaptive",
        2011,
        "Duchi, Hazan & Singer (2011)",
        "1",
        "optax and NumPy, 1e-12",
        adagrad,
    ),
    Entry(
        "adadelta",
        adadelta,
        "adaptive",
        2012,
        "Zeiler (2012)",
        "2",
        "optax and NumPy, 1e-12",
        adadelta,
    ),
    Entry(
        "rmsprop",
        rmsprop,
        "adaptive",
        2012,
        "Tieleman & Hinton (2012); Graves (2013)",
        "1 to 3",
        "optax and NumPy, 1e-12; centred 1e-9",
        rmsprop,
    ),
    Entry(
        "adam",
        adam,
        "Adam",
        2015,
        "Kingma & Ba (2015)",
        "2",
        "optax and NumPy, 1e-12",
        adam,
    ),
    Entry(
        "adamw",
        adamw,
        "Adam",
        2019,
        "Loshchilov & Hutter (2019)",
        "2",
        "optax and NumPy, 1e-12",
        adamw,
    ),
    Entry(
        "adamax",
        adamax,
        "Adam",
        2015,
        "Kingma & Ba (2015)",
        "2",
        "optax and NumPy, 1e-12",
        adamax,
    ),
    Entry(
        "adamaxw",
        adamaxw,
        "Adam",
        2019,
        "Kingma & Ba (2015); Loshchilov & Hutter (2019)",
        "2",
        "optax and NumPy, 1e-12",
        adamaxw,
    ),
    Entry(
        "nadam",
        nadam,
        "Adam",
        2016,
        "Dozat (2016)",
        "2",
        "optax and NumPy, 1e-12",
        nadam,
    ),
    Entry(
        "nadamw",
        nadamw,
        "Adam",
        2019,
        "Dozat (2016); Loshchilov & Hutter (2019)",
        "2",
        "optax and NumPy, 1e-12",
        nadamw,
    ),
    Entry(
        "amsgrad",
        amsgrad,
        "Adam",
        2018,
        "Reddi, Kale & Kumar (2018)",
        "3",
        "optax and NumPy, 1e-12",
        amsgrad,
    ),
    Entry(
        "radam",
        radam,
        "Adam",
        2020,
        "Liu et al. (2020)",
        "2",
        "optax and NumPy, 1e-9",
        radam,
    ),
    Entry(
        "adabelief",
        adabelief,
        "Adam",
        2020,
        "Zhuang et al. (2020)",
        "2",
        "optax and NumPy, 1e-10",
        adabelief,
    ),
    Entry(
        "acprop",
        acprop,
        "Adam",
        2021,
        "Zhuang et al. (2021)",
        "2",
        "NumPy, 1e-10; optax centres on the old mean",
        acprop,
    ),
    Entry(
        "yogi",
        yogi,
        "Adam",
        2018,
        "Zaheer et al. (2018)",
        "2",
        "optax and NumPy, 1e-12",
        yogi,
    ),
    Entry(
        "adan",
        adan,
        "Adam",
        2022,
        "Xie et al. (2022)",
        "4",
        "NumPy, 1e-12; optax has 1 - b2 for b2",
        adan,
    ),
    Entry(
        "ademamix",
        ademamix,
        "Adam",
        2024,
        "Pagliardini, Ablin & Grangier (2024)",
        "3",
        "optax and NumPy, 1e-11",
        ademamix,
    ),
    Entry(
        "adopt",
        adopt,
        "Adam",
        2024,
        "Taniguchi et al. (2024)",
        "2",
        "optax and NumPy, 1e-12",
        adopt,
    ),
    Entry(
        "lars",
        lars,
        "layerwise",
        2017,
        "You, Gitman & Ginsburg (2017)",
        "1",
        "optax and NumPy, 1e-12",
        lars,
    ),
    Entry(
        "lamb",
        lamb,
        "layerwise",
        2020,
        "You et al. (2020)",
        "2",
        "optax and NumPy, 1e-12",
        lamb,
    ),
    Entry(
        "novograd",
        novograd,
        "layerwise",
        2019,
        "Ginsburg et al. (2019)",
        "1",
        "optax and NumPy, 1e-12",
        novograd,
    ),
    Entry(
        "fromage",
        fromage,
        "layerwise",
        2020,
        "Bernstein, Vahdat, Yue & Liu (2020)",
        "0",
        "optax and NumPy, 1e-11",
        fromage,
    ),
    Entry(
        "adafactor",
        adafactor,
        "factored",
        2018,
        "Shazeer & Stern (2018)",
        "rows + columns",
        "optax and NumPy, 1e-12",
        adafactor,
    ),
    Entry(
        "sm3",
        sm3,
        "factored",
        2019,
        "Anil, Gupta, Koren & Singer (2019)",
        "1 + axes",
        "optax and NumPy, 1e-12",
        sm3,
    ),
    Entry(
        "muon",
        muon,
        "matrix",
        2024,
        "Jordan et al. (2024)",
        "1 (matrices), 2",
        "optax and NumPy, 1e-11",
        muon,
    ),
    Entry(
        "shampoo",
        shampoo,
        "matrix",
        2018,
        "Gupta, Koren & Singer (2018)",
        "1 + 2 n^2 an axis",
        "NumPy, 1e-9",
        shampoo,
    ),
    Entry(
        "soap",
        soap,
        "matrix",
        2024,
        "Vyas et al. (2024)",
        "2 + 2 n^2 an axis",
        "NumPy, 1e-9",
        soap,
    ),
    Entry(
        "sophia",
        sophia,
        "second order",
        2023,
        "Liu et al. (2023)",
        "2",
        "optax and NumPy, 1e-11",
        sophia,
        needs="grad_fn",
    ),
    Entry(
        "schedule_free_sgd",
        schedule_free_sgd,
        "averaging",
        2024,
        "Defazio et al. (2024)",
        "1",
        "optax and NumPy, 1e-12",
        schedule_free_sgd,
    ),
    Entry(
        "schedule_free_adamw",
        schedule_free_adamw,
        "averaging",
        2024,
        "Defazio et al. (2024)",
        "2",
        "optax and NumPy, 1e-12",
        schedule_free_adamw,
    ),
    Entry(
        "madgrad",
        madgrad,
        "averaging",
        2021,
        "Defazio & Jelassi (2021)",
        "3",
        "optax and NumPy, 1e-12",
        madgrad,
    ),
    Entry(
        "prodigy",
        prodigy,
        "parameter-free",
        2023,
        "Mishchenko & Defazio (2023)",
        "4",
        "optax and NumPy, 1e-11",
        prodigy,
    ),
    Entry(
        "dadapt_adamw",
        dadapt_adamw,
        "parameter-free",
        2023,
        "Defazio & Mishchenko (2023)",
        "3",
        "optax and NumPy, 1e-12",
        dadapt_adamw,
    ),
    Entry(
        "dog",
        dog,
        "parameter-free",
        2023,
        "Ivgi, Hinder & Carmon (2023)",
        "1",
        "optax and NumPy, 1e-12",
        dog,
    ),
    Entry(
        "dowg",
        dowg,
        "parameter-free",
        2023,
        "Khaled, Mishchenko & Jin (2023)",
        "1",
        "optax and NumPy, 1e-12",
        dowg,
    ),
    Entry(
        "cocob",
        cocob,
        "parameter-free",
        2017,
        "Orabona & Tommasi (2017)",
        "5",
        "optax and NumPy, 1e-11",
        cocob,
    ),
    Entry(
        "sam",
        sam,
        "wrapper",
        2021,
        "Foret, Kleiner, Mobahi & Neyshabur (2021)",
        "that of its rule",
        "NumPy, 1e-12, and optax, 1e-9",
        lambda lr: sam(gd(lr)),
        needs="grad_fn",
    ),
    Entry(
        "lbfgs",
        lbfgs,
        "line search",
        1989,
        "Nocedal (1980); Liu & Nocedal (1989)",
        "2 memory_size + 1",
        "directions against optax, 1e-9; SciPy's minima",
        lambda lr: lbfgs(),
        needs="value_fn",
        takes="none",
    ),
    Entry(
        "bfgs",
        bfgs,
        "line search",
        1970,
        "Broyden; Fletcher; Goldfarb; Shanno (1970)",
        "n + 1",
        "directions against NumPy, 1e-7; SciPy's minima",
        lambda lr: bfgs(),
        needs="value_fn",
        takes="none",
    ),
    Entry(
        "conjugate_gradient",
        conjugate_gradient,
        "line search",
        1964,
        "Fletcher & Reeves (1964); Polak & Ribiere (1969) and others",
        "2",
        "directions against NumPy, 1e-8; SciPy's minima",
        lambda lr: conjugate_gradient(),
        needs="value_fn",
        takes="none",
    ),
    Entry(
        "newton_cg",
        newton_cg,
        "line search",
        1983,
        "Dembo & Steihaug (1983)",
        "1",
        "directions against NumPy, 1e-9; SciPy's minima",
        lambda lr: newton_cg(),
        needs="value_fn",
        takes="none",
    ),
    Entry(
        "levenberg_marquardt",
        levenberg_marquardt,
        "least squares",
        1963,
        "Levenberg (1944); Marquardt (1963); More (1978); Nielsen (1999)",
        "1",
        "NumPy, 1e-9; NIST's certified fits",
        lambda lr: levenberg_marquardt(),
        needs="residual_fn",
        takes="none",
    ),
    Entry(
        "simulated_annealing",
        simulated_annealing,
        "random search",
        1983,
        "Metropolis et al. (1953); Kirkpatrick, Gelatt & Vecchi (1983)",
        "1",
        "NumPy with the same draws, 1e-12",
        lambda lr: simulated_annealing(lr, key=jax.random.key(0)),
        needs="key, value_fn",
    ),
    Entry(
        "aw_sgd",
        aw_sgd,
        "stochastic",
        2015,
        "Bouchard, Trouillon, Perez & Gaidon (2015)",
        "2 per example",
        "its variance's derivative, 1e-12",
        lambda lr: aw_sgd(lr, examples=8),
        needs="rows",
    ),
)

ZOO: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
"""Every optimizer of `jaxnet.optim` by name."""


def named(name: str) -> Entry:
    """The entry of that name.

    Raises:
        ValueError: There is none; the message has the names that look like it.
    """
    if name in ZOO:
        return ZOO[name]
    close = difflib.get_close_matches(name, ZOO, n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else "."
    raise ValueError(f"no optimizer called {name!r}{hint} `jaxnet zoo` lists them all")
