"""How the built-in router was trained."""
