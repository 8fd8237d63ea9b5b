"""Live sources: one file per site, the web client they share, and the source that composes them with a history."""
