"""What type checkers know about the public names."""
