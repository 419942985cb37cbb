# SPDX-License-Identifier: Apache-2.0
"""Predictions of gpytorch, in the wrapper that its documentation traces: `python gpytorch_kernels.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("exact, RBF", "exact, Matern", "variational")


def main(case: str) -> None:
    watch.begin()
    import gpytorch
    import torch

    torch.manual_seed(0)
    x = torch.linspace(0, 1, 20)
    y = torch.sin(6 * x)

    class Exact(gpytorch.models.ExactGP):
        def __init__(self, likelihood: gpytorch.likelihoods.Likelihood) -> None:
            super().__init__(x, y, likelihood)
            self.mean_module = gpytorch.means.ConstantMean()
            kernel = gpytorch.kernels.RBFKernel() if case.endswith("RBF") else gpytorch.kernels.MaternKernel(1.5)
            self.covar_module = gpytorch.kernels.ScaleKernel(kernel)

        def forward(self, x: torch.Tensor) -> gpytorch.distributions.MultivariateNormal:
            return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))

    class Variational(gpytorch.models.ApproximateGP):
        def __init__(self) -> None:
            places = x[::2, None].clone()
            distribution = gpytorch.variational.MeanFieldVariationalDistribution(len(places))
            super().__init__(gpytorch.variational.VariationalStrategy(self, places, distribution))
            self.mean_module = gpytorch.means.ConstantMean()
            self.covar_module = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())

        def forward(self, x: torch.Tensor) -> gpytorch.distributions.MultivariateNormal:
            return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))

    class MeanAndVariance(torch.nn.Module):
        def __init__(self, process: torch.nn.Module) -> None:
            super().__init__()
            self.process = process

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            prediction = self.process(x)
            return prediction.mean, prediction.variance

    process = Variational() if case == "variational" else Exact(gpytorch.likelihoods.GaussianLikelihood())
    process.eval()
    points = torch.rand(5, 1)
    with torch.no_grad(), gpytorch.settings.fast_pred_var(), gpytorch.settings.trace_mode():
        process(points)  # fills the caches, as the documentation has it
        torch.onnx.export(MeanAndVariance(process), (points,), "process.onnx", input_names=["x"])


if __name__ == "__main__":
    main(sys.argv[1])
