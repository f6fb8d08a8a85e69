"""unitd: the daemon inside a street help point."""
