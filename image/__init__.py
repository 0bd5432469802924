"""What only the build of the production image runs."""
