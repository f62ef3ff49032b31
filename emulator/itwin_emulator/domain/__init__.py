"""What exists on the emulated platform, how runs go, and the clock; knows nothing of HTTP."""
