"""How the variance of features is spread over directions; shared by proxies that count or weigh them."""

from __future__ import annotations

from torch import Tensor

from untrained.metrics._spectrum import eigenvalues


def variances(samples: Tensor) -> Tensor:
    """Eigenvalues of the covariance of the units over samples (n, units), ascending, in double precision.

    Of the min(n, units) that can differ from 0: with fewer samples than units the products of samples have
    the same ones and are the smaller matrix.
    """
    wide = samples.double()
    centred = wide - wide.mean(0)
    n, units = centred.shape
    products = centred @ centred.T if n < units else centred.T @ centred
    return eigenvalues(products) / n
