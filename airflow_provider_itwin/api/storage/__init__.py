"""Files in and out: what the Storage API can do, and transfers from and to pre-signed URLs."""
