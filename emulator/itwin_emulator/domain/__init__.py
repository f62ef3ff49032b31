"""The emulated platform: entities, runs, plans, Storage and the clock. Imports nothing of HTTP."""
