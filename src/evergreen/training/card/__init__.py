"""A model's card: the one page on which a person decides whether to let the model in."""

from evergreen.training.card.card import render_model_card

__all__ = ["render_model_card"]
