"""Losses with their gradients by hand, and gradients of them that people get wrong."""

from . import (
    attention,
    classifiers,
    contrastive,
    convolution,
    embedding,
    factorization,
    likelihoods,
    networks,
    normalization,
    recurrent,
    regression,
    unseen,
    unseen_fourth,
    unseen_more,
    unseen_third,
)
from .problem import Problem

FAMILIES = (
    attention, classifiers, contrastive, convolution, embedding, factorization, likelihoods,
    networks, normalization, recurrent, regression, unseen, unseen_fourth, unseen_more,
    unseen_third,
)  # fmt: skip

PROBLEMS: list[Problem] = [problem for family in FAMILIES for problem in family.PROBLEMS]
