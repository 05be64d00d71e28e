"""Formulations."""
