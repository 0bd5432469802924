"""Other people's addresses: may one be fetched, and fetching it (NFR-3.1)."""
