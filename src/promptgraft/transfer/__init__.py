"""Prompts for other models and other tasks."""
