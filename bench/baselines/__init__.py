"""What ours is measured against: honest programs on the same parts, without what Parley does around them."""
