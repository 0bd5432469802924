"""What the proofs run on: a host with Docker in a network namespace, the internet in another, images, and callers."""
