"""DAG files that type checkers read; nothing imports them."""
