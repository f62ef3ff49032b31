"""The emulator, asked over HTTP by clients that share nothing with this package."""
