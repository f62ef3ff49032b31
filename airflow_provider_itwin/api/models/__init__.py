"""Data without I/O: enums, references to runs, API resources, their decoding, and run reports."""
