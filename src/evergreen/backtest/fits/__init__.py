"""The fits of a backtest: one model of some rows, and the store in which each is kept and found again."""
