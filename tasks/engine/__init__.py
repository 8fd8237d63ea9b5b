"""How a day is run: plan, gate, runner, contracts, ledger. Knows nothing of basketball."""
