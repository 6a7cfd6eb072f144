"""Fitting models: CatBoost with a use case's parameters, the baselines, the device, digests, the timer."""
