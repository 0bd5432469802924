"""Other people's pictures: opening, scaling, encoding, within bounds."""
