"""Parameters of a CatBoost model by their names, as a search space declares and CatBoost takes them."""

from __future__ import annotations

from collections.abc import Mapping

ParameterValue = float | str
Parameters = Mapping[str, ParameterValue]
