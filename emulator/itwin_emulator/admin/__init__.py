"""What the real service does not have: control of the emulator, scenarios, the state file and the dashboard."""
