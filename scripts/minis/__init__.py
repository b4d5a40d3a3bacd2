"""Pretraining of the miniature models: data, vocabularies, models, training, export."""
