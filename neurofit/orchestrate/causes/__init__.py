"""Why tasks failed: alike ones together, what they share, and what helps."""
