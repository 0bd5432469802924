"""Supabase: the worker's database functions, Storage, and what their answers mean."""
