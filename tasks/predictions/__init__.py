"""Phase 5: five prediction systems of one shape, the models they load, and the coordinator that prices them."""
