"""Fits the numbers of ``size_rec/body/body_model.py`` from data and keeps them here: ``body_model.json``."""
