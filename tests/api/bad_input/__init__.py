"""Bad input: each kind has one defined answer, and changes nothing."""
