"""Training: recipes, objectives and one visible loop."""
