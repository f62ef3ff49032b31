"""Control of the emulator: the controls, their HTTP routes, scenarios, the state file and the dashboard."""
