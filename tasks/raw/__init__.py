"""Phase 2: payload rows to typed rows with canonical ids; bad rows are refused one by one with field, value and reason."""
