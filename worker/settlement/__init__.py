"""[both processes] Ends sessions: completed, or failed with the credit given back; tries until it lands."""
