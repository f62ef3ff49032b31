"""The emulated platform: entities, runs, plans and the clock. Imports nothing of HTTP."""
