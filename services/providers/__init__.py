"""The provider of pictures: attempts, models, and one folder for each API."""
