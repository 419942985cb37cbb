# SPDX-License-Identifier: Apache-2.0
"""`hummingbird.ml.convert(..., "onnx")` of hummingbird-ml on scikit-learn: `python hummingbird_models.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("forest", "boosting", "linear", "pipeline")


def main(case: str) -> None:
    watch.begin()
    import numpy as np
    from hummingbird.ml import convert
    from sklearn.datasets import make_classification
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = make_classification(n_samples=200, n_features=12, random_state=0)
    x = x.astype(np.float32)
    models = {
        "forest": RandomForestClassifier(n_estimators=10, max_depth=6, random_state=0),
        "boosting": GradientBoostingClassifier(n_estimators=10, random_state=0),
        "linear": LogisticRegression(),
        "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
    }
    convert(models[case].fit(x, y), "onnx", x[:20])


if __name__ == "__main__":
    main(sys.argv[1])
