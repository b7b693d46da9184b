"""What takes gradient steps: recipes, the data that they read, and the loop that runs them."""
