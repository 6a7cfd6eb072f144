"""The model registry (MLflow) and the ledger of promotions. The one room that knows MLflow's registry."""
