"""What the three services agree on, and what is the same in each; knows none of them."""
