"""Jobs of any API of the iTwin Platform: definitions, and the flows that start, poll and cancel them."""
