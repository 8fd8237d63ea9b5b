"""Phase 2: payload rows to typed rows with canonical ids; each bad row is refused with its field, value and reason."""
