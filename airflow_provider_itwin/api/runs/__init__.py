"""What the API can do with runs and connections: endpoints, starting, polling, listing, and the policies for results."""
