"""Datasets as plain numpy arrays: bundled, synthetic, or read from CSV and IDX files."""

from jaxnet.data.bundled import BUNDLED, breast_cancer, diabetes, digits, iris, wine
from jaxnet.data.dataset import Dataset, one_hot
from jaxnet.data.idx import mnist, read_idx
from jaxnet.data.prepare import Standardizer, split, standardizer
from jaxnet.data.synthetic import truth_table, two_gaussians
from jaxnet.data.table import csv, csv_features

__all__ = [
    "BUNDLED",
    "Dataset",
    "Standardizer",
    "breast_cancer",
    "csv",
    "csv_features",
    "diabetes",
    "digits",
    "iris",
    "mnist",
    "one_hot",
    "read_idx",
    "split",
    "standardizer",
    "truth_table",
    "two_gaussians",
    "wine",
]
